"""A Flink cluster on this machine, and Beam's job server for it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.pipelines.runners import jars, workers
from tests.pipelines.runners.workers import listens, until

TASK_MANAGERS = 2
SLOTS = 1
"""Of a TaskManager: tasks that it runs at once."""

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

_OPENED = [
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.io",
            "java.lang",
            "java.lang.reflect",
            "java.net",
            "java.nio",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
            "sun.nio.ch",
        )
    ),
]
"""What Java 17 must open to a Flink that was made for Java 11."""

_CONFIG = """\
jobmanager.rpc.address: localhost
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: localhost
rest.address: localhost
rest.bind-address: localhost
rest.port: {rest}
taskmanager.host: localhost
taskmanager.bind-host: localhost
taskmanager.numberOfTaskSlots: {slots}
taskmanager.cpu.cores: 1.0
taskmanager.memory.framework.heap.size: 64m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.task.heap.size: 256m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.managed.size: 64m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.jvm-metaspace.size: 192m
taskmanager.memory.jvm-overhead.min: 64m
taskmanager.memory.jvm-overhead.max: 64m
heartbeat.interval: 1000
heartbeat.timeout: 6000
restart-strategy: fixed-delay
restart-strategy.fixed-delay.attempts: 20
restart-strategy.fixed-delay.delay: 1 s
classloader.resolve-order: parent-first
io.tmp.dirs: {folder}
blob.storage.directory: {folder}
web.tmpdir: {folder}
"""

_OF_A_JOB = [f"--parallelism={TASK_MANAGERS * SLOTS}", "--object_reuse"]
"""The second is an option of Flink's own, which Beam's Python does not know."""


class Cluster:
    """One JobManager, two TaskManagers and a job server, all on loopback.

    Args:
        folder: of configuration, logs and temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jars = jars.classpath()
        self._rest, self._job, rpc = workers.free_ports(3)
        config = _CONFIG.format(rest=self._rest, rpc=rpc, slots=SLOTS, folder=folder)
        (folder / "flink-conf.yaml").write_text(config)
        self._task_managers: list[subprocess.Popen[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._java("jobmanager", _JOB_MANAGER, "--configDir", str(self._folder))
        for _ in range(TASK_MANAGERS):
            self._add_task_manager()
        self._java(
            "jobserver",
            _JOB_SERVER,
            f"--flink-master=localhost:{self._rest}",
            f"--job-port={self._job}",
            "--artifact-port=0",
            "--expansion-port=0",
            f"--artifacts-dir={self._folder / 'artifacts'}",
        )
        until(lambda: self.task_managers() == TASK_MANAGERS, "a cluster")
        until(lambda: listens(self._job), "a job server")

    def stop(self) -> None:
        for process in self._processes:
            workers.end(process)

    @property
    def endpoint(self) -> str:
        """Of the job server."""
        return f"localhost:{self._job}"

    @property
    def portable(self) -> list[str]:
        """Options of a job through the job server that runs."""
        return ["--runner=PortableRunner", f"--job_endpoint={self.endpoint}", *_OF_A_JOB]

    @property
    def flink(self) -> list[str]:
        """Options of a job through a job server that Beam starts for it."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master=localhost:{self._rest}",
            f"--flink_job_server_jar={jars.job_server(self._jars)}",
            *(f"--job_server_jvm_property={opened}" for opened in _OPENED),
            *_OF_A_JOB,
        ]

    def task_managers(self) -> int:
        """How many the JobManager knows; none while it is not up."""
        try:
            return int(self._asked("overview")["taskmanagers"])
        except OSError:
            return 0

    def configurations(self) -> list[dict[str, Any]]:
        """What each job was told of how to run."""
        jobs = [job["id"] for job in self._asked("jobs")["jobs"]]
        return [self._asked(f"jobs/{job}/config")["execution-config"] for job in jobs]

    def kill_task_manager(self) -> None:
        """Kill the one that has been there longest; another comes, as it would from Kubernetes."""
        killed = self._task_managers.pop(0)
        killed.kill()
        killed.wait()
        self._add_task_manager()

    def _asked(self, what: str) -> Any:
        url = f"http://localhost:{self._rest}/{what}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)

    def _add_task_manager(self) -> None:
        self._task_managers.append(
            self._java("taskmanager", _TASK_MANAGER, "--configDir", str(self._folder))
        )

    def _java(self, name: str, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        temporary = f"-Djava.io.tmpdir={self._folder}"
        classes = f"{self._jars}/*"
        line = ["java", "-Xmx384m", temporary, *_OPENED, "-cp", classes, main, *arguments]
        log = self._folder / f"{name}.log"
        self._processes.append(workers.run(line, log, FLINK_CONF_DIR=str(self._folder)))
        return self._processes[-1]


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster for the time of the body.

    Raises:
        RuntimeError: there is no Java or no Maven, or the jars cannot be had.
    """
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
