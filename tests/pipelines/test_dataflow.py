"""The job that Dataflow would be sent, as its service is sent it: by a stand-in on loopback.

Its files are staged on the GCS server on loopback. What Dataflow makes of them is not shown here.
"""

from __future__ import annotations

import asyncio
import bz2
import codecs
import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from aiohttp import web
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from pipelines import sample
from tests.pipelines.rounds import ROOT

pytest.importorskip("google.cloud.dataflow", reason="pip install '.[gcp]'")

L4 = "type:nvidia-l4;count:1;install-nvidia-driver"
IMAGE = "europe-docker.pkg.dev/project/spar/worker:1"
SECRET = "sk-this-is-secret"


class Service:
    """Takes jobs and never runs them."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> int:
        app = web.Application()
        jobs = "/v1b3/projects/{project}/locations/{region}/jobs"
        app.router.add_post(jobs, self._create)
        app.router.add_get(jobs + "/{id}", self._state)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        await web.TCPSite(self._runner, "localhost", port).start()
        return port

    async def _create(self, request: web.Request) -> web.Response:
        job = await request.json()
        self.jobs.append(job)
        return web.json_response({**job, "id": f"2026-{len(self.jobs)}"})

    async def _state(self, request: web.Request) -> web.Response:
        said = {"id": request.match_info["id"], "currentState": "JOB_STATE_RUNNING"}
        return web.json_response(said)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="module")
def submitted(bucket: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A job as the service got it, and where its files are."""
    place = f"{bucket}/{uuid.uuid4().hex}"
    texts = "".join(f'{{"prompt": "Prompt {n}."}}\n' for n in range(40))
    for name, content in {
        "prompts.jsonl": texts,
        "llama/config.json": '{"max_position_embeddings": 8192}',
        "llama/model.safetensors": "weights",
    }.items():
        with fsspec.open(f"{place}/{name}", "w") as file:
            file.write(content)
    service = Service()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_API_KEY", SECRET)
        code = sample.main(
            [
                *("--run", f"{place}/run", "--prompts", f"{place}/prompts.jsonl"),
                *("--engine", "vllm", "--model", f"{place}/llama"),
                *("--accelerator", L4, "--min_ram", "40GB", "--machine_type", "g2-standard-12"),
                *("--runner", "DataflowRunner", "--project", "project", "--region", "europe-west4"),
                *("--staging_location", f"{place}/staging", "--temp_location", f"{place}/temp"),
                *("--sdk_container_image", IMAGE, "--sdk_location", "container"),
                *("--num_workers", "8", "--autoscaling_algorithm", "NONE"),
                *("--disk_size_gb", "200", "--number_of_worker_harness_threads", "2"),
                *("--dataflow_endpoint", f"http://localhost:{service.port}", "--no_auth"),
                "--detach",
            ]
        )
    service.close()
    assert code == 0
    [job] = service.jobs
    yield job, place


@pytest.fixture(scope="module")
def job(submitted: tuple[dict[str, Any], str]) -> dict[str, Any]:
    return submitted[0]


@pytest.fixture(scope="module")
def staged(submitted: tuple[dict[str, Any], str]) -> dict[str, bytes]:
    """The files of the job, by name."""
    system, root = fsspec.core.url_to_fs(f"{submitted[1]}/staging")
    return {path.rpartition("/")[2]: system.cat_file(path) for path in system.find(root)}


@pytest.fixture(scope="module")
def pipeline(staged: dict[str, bytes]) -> beam_runner_api_pb2.Pipeline:
    [content] = (content for name, content in staged.items() if name == "pipeline.pb")
    return beam_runner_api_pb2.Pipeline.FromString(content)


def test_workers_are_what_was_asked_for(job: dict[str, Any]) -> None:
    environment = job["environment"]
    [pool] = environment["workerPools"]
    assert pool["machineType"] == "g2-standard-12" and pool["diskSizeGb"] == 200
    assert pool["numWorkers"] == 8 and pool["numThreadsPerWorker"] == 2
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {IMAGE}
    assert pool["autoscalingSettings"]["algorithm"] == 1, "none"
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert "use_multiple_sdk_containers" not in environment["experiments"]


def test_an_accelerator_is_asked_for_by_the_inference_alone(
    pipeline: beam_runner_api_pb2.Pipeline,
) -> None:
    asking = {}
    for transform in pipeline.components.transforms.values():
        if said := pipeline.components.environments[transform.environment_id].resource_hints:
            asking[transform.unique_name] = dict(said)
    assert asking == {
        "sample": {
            common_urns.resource_hints.ACCELERATOR.urn: L4.encode(),
            common_urns.resource_hints.MIN_RAM_BYTES.urn: b"40000000000",
        }
    }


def test_nothing_is_staged_but_the_pipeline(staged: dict[str, bytes]) -> None:
    assert set(staged) == {"pipeline.pb"}, "the code is in the container"


def test_it_holds_no_secret_and_no_path_of_this_machine(
    job: dict[str, Any], staged: dict[str, bytes], pipeline: beam_runner_api_pb2.Pipeline
) -> None:
    held = json.dumps(job).encode() + b"".join(staged.values())
    unpacked = 0
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            held += bz2.decompress(codecs.decode(payload.do_fn.payload, "base64"))
            unpacked += 1
    assert unpacked and b"OPENAI_API_KEY" in held and b"loopback" in held
    assert SECRET.encode() not in held
    # Code that Beam pickles of itself names its file.
    paths = re.findall(re.escape(str(ROOT).encode()) + rb"[\w./-]*", held)
    assert [path for path in paths if b"/site-packages/apache_beam/" not in path] == []
