"""Runners elsewhere: whether they are there, and what they know beside the options of Beam itself.

A portable runner is reached through a job server: one that runs already, or one that Beam starts.
"""

from __future__ import annotations

import shutil
import socket
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import create_runner

from pipelines.execution.elsewhere import in_a_line
from terminal.exits import UsageError

PATIENCE_S = 5.0
"""How long an address that was named is waited for."""

_FLINK_PORT = 8081
"""What Flink's REST server listens at unless it is told otherwise."""

Kind = Callable[[str], Any]
"""How the value of an option is read."""

_WHOLE = (
    "auto_watermark_interval",
    "checkpoint_timeout_millis",
    "checkpointing_interval",
    "execution_retry_delay",
    "file_input_split_max_size_m_b",
    "job_check_interval_in_secs",
    "latency_tracking_interval",
    "max_bundle_size",
    "max_bundle_time_mills",
    "min_pause_between_checkpoints",
    "num_concurrent_checkpoints",
    "number_of_execution_retries",
    "shutdown_sources_after_idle_ms",
)
_OTHER = (
    "allow_non_restored_state",
    "attached_mode",
    "auto_balance_write_files_sharding_enabled",
    "checkpointing_mode",
    "disable_metrics",
    "enable_stable_input_drain",
    "execution_mode_for_batch",
    "externalized_checkpoints_enabled",
    "fail_on_checkpointing_errors",
    "faster_copy",
    "finish_bundle_before_checkpointing",
    "flink_conf_dir",
    "object_reuse",
    "operator_chaining",
    "re_iterable_group_by_key_result",
    "report_checkpoint_duration",
    "retain_externalized_checkpoints_on_cancellation",
    "savepoint_path",
    "state_backend",
    "state_backend_factory",
    "state_backend_storage_path",
    "use_data_stream_for_batch",
)
OF_FLINK: Mapping[str, Kind] = {f"--{n}": int if n in _WHOLE else str for n in _WHOLE + _OTHER}
"""What Beam's job server for Flink knows and Beam's Python does not; a test asks one."""


def options_of(beams: Namespace) -> Mapping[str, Kind]:
    """The options that a runner has of its own.

    Args:
        beams: the options that Beam itself knows.

    Raises:
        UsageError: the runner is not there.
    """
    try:
        runner = create_runner(beams.runner or "DirectRunner")
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"no runner {beams.runner}: {error}") from None
    if not isinstance(runner, PortableRunner):
        return {}
    if beams.job_endpoint and beams.job_endpoint != "embed":
        return described(beams.job_endpoint)
    if isinstance(runner, FlinkRunner):
        _require_flink(beams)
        return OF_FLINK
    if isinstance(runner, PrismRunner):
        _require_file("--prism_location", beams.prism_location)
    elif type(runner) is PortableRunner and not beams.job_endpoint:
        raise UsageError(f"--runner={beams.runner} needs --job_endpoint HOST:PORT of a job server")
    return {}


def failure(error: BaseException) -> str:
    """Why a runner elsewhere ended a job or did not take it, in one line."""
    if isinstance(error, grpc.RpcError):
        return f"the job server is gone: {error.details()}"
    return f"the runner gave up: {in_a_line(error)}"


def _require_flink(beams: Namespace) -> None:
    _require_file("--flink_job_server_jar", beams.flink_job_server_jar)
    java = beams.job_server_java_launcher
    if not beams.flink_submit_uber_jar and not shutil.which(java):
        raise UsageError(
            f"no Java at {java!r}, which Beam's job server for Flink needs: install it, or name it "
            "by --job_server_java_launcher"
        )
    master = beams.flink_master.strip()
    if master in MAGIC_HOST_NAMES:
        return
    try:
        where = urlsplit(master if "://" in master else f"//{master}")
        address = where.hostname or "", where.port or _FLINK_PORT
        with socket.create_connection(address, PATIENCE_S):
            pass
    except (OSError, ValueError):
        raise UsageError(
            f"no Flink cluster at --flink_master {master}: it must be HOST:PORT of a JobManager's "
            "REST server that runs"
        ) from None


def _require_file(option: str, path: str | None) -> None:
    if path and "://" not in path and not Path(path).is_file():
        raise UsageError(f"{option}: no file {path}")


def described(endpoint: str) -> Mapping[str, Kind]:
    """The options that a job server says it knows.

    Raises:
        UsageError: there is none.
    """
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        request = beam_job_api_pb2.DescribePipelineOptionsRequest()
        try:
            told = service.DescribePipelineOptions(request, timeout=PATIENCE_S, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return {}
            raise UsageError(
                f"no job server at --job_endpoint {endpoint}: {error.details()}"
            ) from None
    whole = beam_job_api_pb2.PipelineOptionType.INTEGER
    return {f"--{o.name}": int if o.type == whole else str for o in told.options}
