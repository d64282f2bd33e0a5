"""Jobs that run elsewhere: where each runner has them, how another process finds one again, and
what their workers cannot see.

A job is found by the job server that it was given to (`--job_endpoint`), on a Flink cluster by its
page (REST), on Dataflow by its id. Of other runners no job can be found again.
"""

from __future__ import annotations

import copy
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability import job_server, portable_runner
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES
from apache_beam.runners.runner import PipelineState

from pipelines.execution.job_note import JobNotFound, Place, is_address
from terminal.exits import UsageError

IN_PROCESS = "FnApiRunner"
"""The runner whose pipelines run in this process."""

DATAFLOW = "DataflowRunner"
_FLINK = "FlinkRunner"
_PORTABLE = ("PortableRunner", _FLINK, "SparkRunner", "PrismRunner")

_POLL_S = 1.0
ANSWER_S = 20
"""How long a job server is given to answer."""

_ANSWER_BYTES = 16 << 20
"""The longest answer of a cluster that is read; a longer one is no JSON any more."""

_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")

_FLINK_STATES = {
    "FINISHED": PipelineState.DONE,
    "FAILED": PipelineState.FAILED,
    "CANCELED": PipelineState.CANCELLED,
    "CANCELLING": PipelineState.CANCELLING,
    "CREATED": PipelineState.STARTING,
    "INITIALIZING": PipelineState.STARTING,
}
"""The others are those of a job that runs."""


class Result(Protocol):
    """What Beam gives for a job."""

    @property
    def state(self) -> str: ...
    def cancel(self) -> Any: ...
    def wait_until_finish(self) -> Any:
        """Raises what made it fail."""


def runner_of(options: PipelineOptions) -> str:
    """A runner's name without the module that it is in."""
    return str(options.view_as(StandardOptions).runner or "").rpartition(".")[2]


def is_one_thread(options: PipelineOptions) -> bool:
    """Whether a pipeline runs in one thread of this process."""
    workers = options.view_as(DirectOptions).direct_num_workers
    return runner_of(options) == IN_PROCESS and bool(workers == 1)


def for_a_job(options: PipelineOptions, name: str) -> PipelineOptions:
    """The options of one job, with a name for it to be found by."""
    own = copy.deepcopy(options)
    if runner_of(options) != IN_PROCESS and not _name(own):
        own.view_as(GoogleCloudOptions).job_name = name
    return own


def _name(options: PipelineOptions) -> str:
    return str(options.view_as(GoogleCloudOptions).job_name or "")


def place_of(result: Any, options: PipelineOptions) -> Place:
    """Where a job is that was just submitted.

    Args:
        options: as they were before the runner had them.
    """
    runner, cluster, id_ = runner_of(options), _cluster(options), _id(result)
    if runner == DATAFLOW:
        cloud = options.view_as(GoogleCloudOptions)
        url = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{id_}"
        address = f"{cloud.project}/{cloud.region}"
        return Place(runner, id_, f"{url}?project={cloud.project}", "dataflow", address)
    endpoint = options.view_as(PortableOptions).job_endpoint
    if "@" in cluster:  # a login, which no run may hold
        cluster = ""
    if runner in _PORTABLE and is_address("job_server", str(endpoint or "")):
        return Place(runner, id_, cluster, "job_server", endpoint)
    if is_address("flink", cluster) and (found := _flink_job(cluster, _name(options))):
        return Place(runner, found, f"{cluster}/#/job/running/{found}", "flink", cluster)
    return Place(runner, id_, cluster)


def _id(result: Any) -> str:
    """A job's id as far as its runner says it."""
    told = getattr(result, "job_id", None)
    return str(told() if callable(told) else told or getattr(result, "_job_id", ""))


def find(place: Place) -> Result:
    """A job that another process submitted.

    Raises:
        JobNotFound: with the reason.
    """
    try:
        if place.by == "job_server":
            return _of_job_server(place)
        if place.by == "flink":
            return _FlinkJob(place.address, place.id)
        if place.by == "dataflow":
            return _of_dataflow(place)
    except Exception as error:  # whatever a runner's client raises
        said = f"{place.address} does not know it or does not answer: {in_a_line(error)}"
        raise JobNotFound(said) from None
    raise JobNotFound(f"jobs on {place.runner} cannot be asked by another process")


def of_all_its_life(result: Result) -> Result:
    """A job's result whose messages begin with its first: a job server ends those of a long job."""
    if isinstance(result, portable_runner.PipelineResult):
        return _attached(result._job_service, result._job_id)
    return result


def in_a_line(error: BaseException) -> str:
    """What a runner's client raised."""
    details = getattr(error, "details", None)
    said = str(details()) if callable(details) else str(error)
    return next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)


def _of_job_server(place: Place) -> Result:
    service = job_server.ExternalJobServer(place.address, ANSWER_S).start()
    request = beam_job_api_pb2.GetJobStateRequest(job_id=place.id)
    service.GetState(request, timeout=ANSWER_S)
    return _attached(service, place.id)


def _attached(service: Any, id_: str) -> Result:
    messages = service.GetMessageStream(beam_job_api_pb2.JobMessagesRequest(job_id=id_))
    result: Result = portable_runner.PipelineResult(service, id_, messages, _states(service, id_))
    return result


def _states(service: Any, id_: str) -> Iterator[Any]:
    """A job's state, asked for again and again; whoever reads stops when it has ended.

    Flink's job server tells a new state to its streams one after the other, and stops at one whose
    driver is gone: those behind it never hear that the job has ended.
    """
    while True:
        yield service.GetState(beam_job_api_pb2.GetJobStateRequest(job_id=id_))
        time.sleep(_POLL_S)


def _of_dataflow(place: Place) -> Result:
    from apache_beam.runners.dataflow import dataflow_runner
    from apache_beam.runners.dataflow.internal import apiclient

    project, _, region = place.address.partition("/")
    options = PipelineOptions(["--runner", DATAFLOW, "--project", project, "--region", region])
    runner = dataflow_runner.DataflowRunner()
    runner.dataflow_client = apiclient.DataflowApplicationClient(options)
    job = runner.dataflow_client.get_job(place.id)
    result: Result = dataflow_runner.DataflowPipelineResult(job, runner, options)
    return result


@dataclass(frozen=True, slots=True)
class _FlinkJob:
    """A job on a Flink cluster, by the cluster's page."""

    cluster: str
    id: str

    def __post_init__(self) -> None:
        _ = self.state

    @property
    def state(self) -> str:
        said = _asked(f"{self.cluster}/jobs/{self.id}")["state"]
        return str(_FLINK_STATES.get(said, PipelineState.RUNNING))

    def cancel(self) -> None:
        _asked(f"{self.cluster}/jobs/{self.id}?mode=cancel", "PATCH")

    def wait_until_finish(self) -> None:
        while not PipelineState.is_terminal(state := self.state):
            time.sleep(_POLL_S)
        if state == PipelineState.FAILED:
            why = _asked(f"{self.cluster}/jobs/{self.id}/exceptions")
            raise RuntimeError(why.get("root-exception") or "the cluster does not say why")


def _flink_job(cluster: str, name: str) -> str:
    """The id of a cluster's job of a name, once it is there; "" where it does not come."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        try:
            jobs = _asked(f"{cluster}/jobs/overview")["jobs"]
        except OSError:
            return ""
        if named := [job for job in jobs if job["name"] == name]:
            return str(max(named, key=lambda job: job["start-time"])["jid"])
        time.sleep(_POLL_S)
    return ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for an error: a cluster that is asked leads to no other address."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _asked(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with _OPENER.open(request, timeout=ANSWER_S) as answer:
        return json.loads(answer.read(_ANSWER_BYTES) or b"{}")


def _cluster(options: PipelineOptions) -> str:
    """The page of the Flink cluster that is named, "" where one is started for the job."""
    master = str(options.view_as(FlinkRunnerOptions).flink_master).strip().rstrip("/")
    if runner_of(options) != _FLINK or master in MAGIC_HOST_NAMES:
        return ""
    return master if "://" in master else f"http://{master}"


def check_detaching(options: PipelineOptions) -> None:
    """Refuse to leave a job alone that would not go on, or not be found again.

    Raises:
        UsageError: with the remedy.
    """
    runner, portable = runner_of(options), options.view_as(PortableOptions)
    if runner == IN_PROCESS:
        raise UsageError(
            "--detach: with this runner the pipeline runs in this process, and ends with it; "
            "jobs on Flink, Dataflow or a job server of their own can be left"
        )
    if runner == DATAFLOW:
        return
    if runner not in _PORTABLE:
        raise UsageError(f"--detach: jobs on {runner} cannot be found again")
    is_here = portable.environment_type == "LOOPBACK" or (
        runner == _FLINK and not portable.environment_type and not _cluster(options)
    )
    if is_here:
        raise UsageError(
            "--detach: the workers run in this process (LOOPBACK), and end with it; give "
            "--environment_type and --environment_config"
        )
    stays = portable.job_endpoint and portable.job_endpoint != "embed"
    is_sent = _cluster(options) and options.view_as(FlinkRunnerOptions).flink_submit_uber_jar
    if not (stays or is_sent):
        on_flink = " or, for Flink, --flink_submit_uber_jar" if runner == _FLINK else ""
        raise UsageError(
            "--detach: the job server would end with this process; give that of one that stays, "
            f"--job_endpoint HOST:PORT{on_flink}"
        )


def check_paths(options: PipelineOptions, local: Sequence[str]) -> str:
    """Look at paths of this machine that workers are to read.

    Args:
        local: options with their paths, as they are given.

    Returns:
        What to warn of, where workers may be on other machines; "" for nothing.

    Raises:
        UsageError: the workers are on other machines.
    """
    if not local:
        return ""
    what = ", ".join(local)
    if runner_of(options) == DATAFLOW:
        raise UsageError(
            f"Dataflow's workers cannot see this machine's disk: {what}; put it on gs:// (a model "
            "may be a folder of the container too, or at --engine_url)"
        )
    if runner_of(options) not in _PORTABLE:
        return ""
    endpoint = options.view_as(PortableOptions).job_endpoint or ""
    hosts = (
        urllib.parse.urlsplit(_cluster(options)).hostname,
        urllib.parse.urlsplit(f"//{endpoint}").hostname if endpoint != "embed" else "",
    )
    if all((host or "") in _LOCAL_HOSTS for host in hosts):
        return ""
    return f"workers on other machines must see the same at the same place: {what}"
