"""Runners elsewhere: their own options, and what is said where one is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.job_server import JavaJarJobServer
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from pipelines import refine
from pipelines.execution.options import Job, parse
from spar_core.methods import METHODS
from tests.loopback import LoopbackServer
from tests.pipelines.rounds import command


def parsed(*argv: str) -> Job:
    return parse("refine", "", METHODS, ["--engine_url", "http://nowhere.invalid", *argv])


class Telling(LocalJobServicer):
    """A job server that knows two options of its own."""

    def DescribePipelineOptions(  # noqa: N802 - as gRPC names it
        self, *_: object
    ) -> beam_job_api_pb2.DescribePipelineOptionsResponse:
        kinds = beam_job_api_pb2.PipelineOptionType
        named = {"max_bundle_size": kinds.INTEGER, "colour": kinds.STRING}
        return beam_job_api_pb2.DescribePipelineOptionsResponse(
            options=[
                beam_job_api_pb2.PipelineOptionDescriptor(name=name, type=kind)
                for name, kind in named.items()
            ]
        )


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[str]:
    """The endpoint of one that runs."""
    servicer = Telling(str(tmp_path / "staging"))
    yield f"localhost:{servicer.start_grpc_server(0)}"
    servicer.stop()


@pytest.fixture
def master() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "own",
    [
        ["--max_bundle_size=5"],
        ["--max_bundle_time_mills", "100", "--number_of_execution_retries=-1"],
        ["--object_reuse", "--checkpointing_mode=EXACTLY_ONCE"],
    ],
    ids=" ".join,
)
def test_flink_has_options_of_its_own(master: str, own: list[str]) -> None:
    job = parsed("--runner=FlinkRunner", f"--flink_master=http://{master}/", *own)
    assert {*own} <= {*job.beam._flags}


def test_a_job_server_is_asked_what_it_knows(job_server: str) -> None:
    assert parsed(
        "--runner=PortableRunner",
        f"--job_endpoint={job_server}",
        "--max_bundle_size=5",
        "--colour=red",
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--max_bundle_size=5"], "no option --max_bundle_size"),
        (["--runner=PortableRunner"], "needs --job_endpoint HOST:PORT"),
        (["--runner=PortableRunner", "--job_endpoint=MINE", "--colours=red"], "mean --colour?"),
        (["--runner=PortableRunner", "--job_endpoint=MINE", "--max_bundle_size=x"], "'x'"),
        (["--runner=PortableRunner", "--job_endpoint=127.0.0.1:9"], "no job server at"),
        (["--runner=FlinkRunner", "--job_endpoint=127.0.0.1:9"], "no job server at"),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:9"], "no Flink cluster at"),
        (["--runner=FlinkRunner", "--flink_master=nowhere.invalid"], "it must be HOST:PORT"),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:x"], "it must be HOST:PORT"),
        (["--runner=FlinkRunner", "--max_bundle_sizes=5"], "did you mean --max_bundle_size?"),
        (["--runner=FlinkRunner", "--max_bundle_size=many"], "'many'"),
        (["--runner=FlinkRunner", "--flink_job_server_jar=no.jar"], "no file no.jar"),
        (["--runner=FlinkRunner", "--job_server_java_launcher=no-java"], "no Java at 'no-java'"),
        (["--runner=PrismRunner", "--prism_location=no-prism"], "no file no-prism"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_runner_that_is_not_there_is_one_line(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    job_server: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    said: str,
) -> None:
    if "--job_endpoint=127.0.0.1:9" in argv:  # where nobody will listen however long one waits
        monkeypatch.setattr("pipelines.execution.runners.PATIENCE_S", 0.2)
    argv = [each.replace("MINE", job_server) for each in argv]
    assert refine.main(command(tmp_path / "run", prompts, server.url, *argv)) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert not server.bodies


def test_a_job_server_that_cannot_be_had_stops_the_run(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no jar is named Beam downloads one."""

    def download(*_: object) -> str:
        raise RuntimeError("Unable to fetch remote job server jar")

    monkeypatch.setattr(JavaJarJobServer, "local_jar", staticmethod(download))
    line = command(tmp_path / "run", prompts, server.url, "--runner=FlinkRunner")
    assert refine.main(line) == 4
    error = capfd.readouterr().err
    assert "Unable to fetch remote job server jar" in error
    assert "Traceback" not in error
    assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
