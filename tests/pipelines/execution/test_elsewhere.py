"""Where jobs are that run elsewhere, and what their workers cannot see."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from pipelines import refine
from pipelines.execution import elsewhere
from pipelines.execution.elsewhere import check_detaching, check_paths, place_of
from pipelines.execution.job_note import JobNotFound, Place
from terminal.exits import UsageError
from tests.loopback import LoopbackServer
from tests.pipelines.rounds import command

MASTER = "--flink_master=flink:8081"
WORKERS = ("--environment_type=EXTERNAL", "--environment_config=pool:50000")


class Cluster(BaseHTTPRequestHandler):
    """The pages of a Flink cluster with two jobs of a name."""

    states: dict[str, str]

    def _answer(self, found: Any) -> None:
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def do_GET(self) -> None:
        if self.path == "/jobs/overview":
            jobs = [
                {"jid": jid, "name": "spar-x", "start-time": n} for n, jid in enumerate(self.states)
            ]
            return self._answer({"jobs": jobs})
        jid, _, what = self.path.removeprefix("/jobs/").partition("/")
        if jid not in self.states:
            return self._answer(None)
        why = {"root-exception": "RuntimeError: the model is gone\n\tat org.apache"}
        return self._answer(why if what == "exceptions" else {"state": self.states[jid]})

    def do_PATCH(self) -> None:
        self.states[self.path.removeprefix("/jobs/").partition("?")[0]] = "CANCELED"
        self._answer({"ok": 1})

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def cluster() -> Iterator[str]:
    Cluster.states = {"old": "FINISHED", "new": "RUNNING"}
    with HTTPServer(("127.0.0.1", 0), Cluster) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def options(*given: str) -> PipelineOptions:
    return PipelineOptions([*given])


def test_a_job_on_a_flink_cluster_is_found_by_its_name_then_by_its_id(cluster: str) -> None:
    given = options("--runner=FlinkRunner", f"--flink_master={cluster}", "--job_name=spar-x")
    place = place_of(SimpleNamespace(_job_id="of the job server"), given)
    assert place.id == "new"
    assert place.url == f"http://{cluster}/#/job/running/new"
    job = elsewhere.find(place)
    assert job.state == "RUNNING"
    Cluster.states["new"] = "FAILED"
    with pytest.raises(RuntimeError, match="the model is gone"):
        job.wait_until_finish()
    Cluster.states["new"] = "RUNNING"
    job.cancel()
    assert job.state == "CANCELLED"
    del Cluster.states["new"]
    with pytest.raises(JobNotFound, match="does not know it"):
        elsewhere.find(place)


def test_a_login_in_the_address_of_a_cluster_is_not_noted() -> None:
    given = options("--runner=FlinkRunner", "--flink_master=http://me:secret@flink:8081")
    place = place_of(SimpleNamespace(_job_id="x"), given)
    assert place == Place("FlinkRunner", "x")


def test_a_job_on_dataflow_is_named_by_project_and_region() -> None:
    given = options("--runner=DataflowRunner", "--project=p", "--region=europe-west4")
    place = place_of(SimpleNamespace(job_id=lambda: "2026-1"), given)
    assert place == Place(
        "DataflowRunner",
        "2026-1",
        "https://console.cloud.google.com/dataflow/jobs/europe-west4/2026-1?project=p",
        "dataflow",
        "p/europe-west4",
    )


def test_each_job_has_options_and_a_name_of_its_own() -> None:
    given = options("--runner=FlinkRunner")
    first = elsewhere.for_a_job(given, "spar-judge-1")
    assert first.view_as(GoogleCloudOptions).job_name == "spar-judge-1"
    assert given.view_as(GoogleCloudOptions).job_name is None
    named = elsewhere.for_a_job(options("--runner=FlinkRunner", "--job_name=mine"), "spar-judge-1")
    assert named.view_as(GoogleCloudOptions).job_name == "mine"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--runner=x.FnApiRunner",), "runs in this process"),
        (("--runner=FlinkRunner",), "LOOPBACK"),
        (("--runner=FlinkRunner", MASTER), "--job_endpoint HOST:PORT or, for Flink"),
        (("--runner=FlinkRunner", MASTER, "--environment_type=LOOPBACK"), "LOOPBACK"),
        (("--runner=SparkRunner", *WORKERS), "--job_endpoint HOST:PORT$"),
        (("--runner=PortableRunner", "--job_endpoint=embed"), "--job_endpoint"),
        (("--runner=FlinkRunner", MASTER, "--flink_submit_uber_jar"), ""),
        (("--runner=FlinkRunner", MASTER, "--job_endpoint=h:1"), ""),
        (("--runner=PortableRunner", "--job_endpoint=h:1", *WORKERS), ""),
        (("--runner=DataflowRunner",), ""),
    ],
)
def test_a_job_is_left_only_where_it_goes_on(given: tuple[str, ...], why: str) -> None:
    if why:
        with pytest.raises(UsageError, match=why):
            check_detaching(options(*given))
    else:
        check_detaching(options(*given))


@pytest.mark.parametrize(
    ("given", "is_warned"),
    [
        (("--runner=x.FnApiRunner",), False),
        (("--runner=FlinkRunner",), False),
        (("--runner=FlinkRunner", "--flink_master=localhost:8081"), False),
        (("--runner=FlinkRunner", MASTER), True),
        (("--runner=PortableRunner", "--job_endpoint=localhost:8099"), False),
        (("--runner=PortableRunner", "--job_endpoint=jobs.example:8099"), True),
    ],
)
def test_paths_of_this_machine_are_warned_of(given: tuple[str, ...], is_warned: bool) -> None:
    warning = check_paths(options(*given), ["--run runs/mine"])
    assert ("--run runs/mine" in warning) is is_warned
    assert check_paths(options(*given), []) == ""


def test_a_local_run_is_refused_for_dataflow(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"--model m\.gguf"):
        check_paths(options("--runner=DataflowRunner"), ["--model m.gguf"])
    line = command(tmp_path / "run", prompts, server.url, "--runner=DataflowRunner")
    assert refine.main(line) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
