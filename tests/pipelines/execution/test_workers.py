"""Workers on other machines: their hints, what their description holds, and what is refused."""

from __future__ import annotations

import bz2
import codecs
import pickle
from collections.abc import Sequence

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines import sample
from pipelines.execution.inference import Inference
from pipelines.execution.session import Session
from pipelines.execution.workers import check_workers, hints
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec
from terminal.exits import UsageError

L4 = "type:nvidia-l4;count:1;install-nvidia-driver"
ASKED = [f"--accelerator={L4}", "--min_ram=48GB"]
STARTED = EngineSpec("vllm", "gs://bucket/llama")
SERVED = EngineSpec("openai", "llama", url="http://10.0.0.2:8000")
UNLISTED = "disable_logging_submission_environment"
DATAFLOW = ["--runner=DataflowRunner", "--sdk_container_image=gcr.io/p/spar"]


def proto(specs: Sequence[EngineSpec], *more: str) -> beam_runner_api_pb2.Pipeline:
    """A pipeline that asks engines, as a runner is sent it."""
    options = PipelineOptions([*ASKED, *more])
    pipeline = beam.Pipeline(options=options)
    roles = {f"role {n}": spec for n, spec in enumerate(specs)}
    session = Session()
    asking = beam.ParDo(Inference([], Dataset("gs://bucket/run", 0), roles, session))
    (
        pipeline
        | beam.Create(["a"])
        | beam.Reshuffle()
        | "asking" >> asking.with_resource_hints(**hints(specs, options))
    )
    session.close()
    return pipeline.to_runner_api()


def asked_for(made: beam_runner_api_pb2.Pipeline) -> dict[str, dict[str, bytes]]:
    """The resource hints of each transform that has some, by name."""
    found = {}
    for transform in made.components.transforms.values():
        environment = made.components.environments[transform.environment_id]
        if environment.resource_hints:
            found[transform.unique_name] = dict(environment.resource_hints)
    return found


def test_hints_are_on_the_transform_that_starts_an_engine_and_on_no_other() -> None:
    [(name, said)] = asked_for(proto([SERVED, STARTED])).items()
    assert name == "asking" and sorted(said.values()) == sorted([L4.encode(), b"48000000000"])
    assert set(said) == {
        common_urns.resource_hints.ACCELERATOR.urn,
        common_urns.resource_hints.MIN_RAM_BYTES.urn,
    }


def test_engines_at_urls_need_no_accelerator() -> None:
    assert not asked_for(proto([SERVED])) and not asked_for(proto([]))


def unpacked(made: beam_runner_api_pb2.Pipeline) -> bytes:
    """All that a pipeline's description holds, what is packed in it as it was before."""
    held = made.SerializeToString()
    for transform in made.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            packed = payload.do_fn.payload
            held += bz2.decompress(codecs.decode(packed, "base64"))
    return held


def test_keys_travel_by_their_variables_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "sk-this-is-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-this-is-secret")
    spec = EngineSpec("openai", "judge", url="http://10.0.0.3:8000", key="JUDGE_API_KEY")
    held = unpacked(proto([SERVED, spec])) + pickle.dumps(spec)
    assert b"JUDGE_API_KEY" in held and b"sk-this-is-secret" not in held


@pytest.mark.parametrize(
    ("spec", "line", "said"),
    [
        (
            EngineSpec("openai", url="http://me:secret@10.0.0.2:8000"),
            ["--runner=FlinkRunner"],
            "password or key",
        ),
        (
            EngineSpec("openai", url="http://a:1,https://b/api?key=secret"),
            ["--runner=FlinkRunner"],
            "password or key",
        ),
        (EngineSpec("openai", url="http://localhost:8000"), DATAFLOW, "cannot reach"),
        (EngineSpec("openai", url="http://a:1,http://127.0.0.1"), DATAFLOW, "cannot reach"),
        (EngineSpec("openai", url="@engines.txt"), DATAFLOW, "cannot reach @engines.txt"),
        (STARTED, DATAFLOW[:1], "--sdk_container_image"),
        (STARTED, [*DATAFLOW[:1], "--setup_file=setup.py"], "--sdk_container_image"),
        (SERVED, DATAFLOW[:1], "--sdk_container_image"),
        (
            STARTED,
            [*DATAFLOW, *ASKED, f"--dataflow_service_options=worker_accelerator={L4}"],
            "give one",
        ),
    ],
)
def test_what_workers_would_fail_of_is_refused(
    spec: EngineSpec, line: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        check_workers([spec], PipelineOptions(line))
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (SERVED, DATAFLOW),
        (SERVED, [*DATAFLOW[:1], "--setup_file=setup.py"]),
        (EngineSpec("openai", url="@gs://bucket/engines.txt"), DATAFLOW),
        (EngineSpec("openai", url="http://localhost:8000"), ["--runner=FlinkRunner"]),
        (EngineSpec("openai", url="http://me:secret@a"), ["--runner=a.b.FnApiRunner"]),
    ],
)
def test_what_they_can_do_is_not(spec: EngineSpec, line: list[str]) -> None:
    options = PipelineOptions(line)
    check_workers([spec], options)
    assert not {*(options.view_as(DebugOptions).experiments or [])} - {UNLISTED}


@pytest.mark.parametrize(
    ("more", "experiments"),
    [
        ([], {"no_use_multiple_sdk_containers"}),
        (["--experiments=use_multiple_sdk_containers"], {"use_multiple_sdk_containers"}),
        (["--experiments=x"], {"x", "no_use_multiple_sdk_containers"}),
    ],
)
def test_dataflow_starts_one_container_where_workers_start_engines(
    more: list[str], experiments: set[str]
) -> None:
    options = PipelineOptions([*DATAFLOW, *more])
    check_workers([STARTED], options)
    assert {*options.view_as(DebugOptions).experiments} == experiments | {UNLISTED}


def test_memory_that_is_no_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert sample.main(["--run", "nowhere", "--min_ram", "much"]) == 2
    assert "--min_ram: must be a size as 48GB, not 'much'" in capsys.readouterr().err
