"""Workers on other machines: what is asked for them, and what their engines must not come to."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    WorkerOptions,
)
from apache_beam.transforms.resources import parse_resource_hints

from pipelines.execution.elsewhere import DATAFLOW, IN_PROCESS, runner_of
from spar_core.engine.endpoints import has_secret
from spar_core.engine.spec import EngineSpec
from terminal.exits import UsageError

_ONE_PROCESS = "no_use_multiple_sdk_containers"
_NO_PACKAGES = "disable_logging_submission_environment"
"""Else Beam stages a list of what is installed here, with the folders of this machine in it."""

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class EngineWorkers(PipelineOptions):
    """What workers must have that start an engine: options beside those of Beam itself."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument(
            "--accelerator",
            help="as the runner's resource hint says it, e.g. "
            "'type:nvidia-l4;count:1;install-nvidia-driver'",
        )
        parser.add_argument("--min_ram", type=_ram, help="memory, e.g. 48GB")


def hints(specs: Iterable[EngineSpec], options: PipelineOptions) -> dict[str, str]:
    """The resource hints of the transform that asks these engines: none where it starts none."""
    if not any(spec.is_started for spec in specs):
        return {}
    asked = options.view_as(EngineWorkers)
    said = {"accelerator": asked.accelerator, "min_ram": asked.min_ram}
    return {name: value for name, value in said.items() if value}


def check_workers(specs: Iterable[EngineSpec], options: PipelineOptions) -> None:
    """Look at what workers elsewhere would fail of, and fit Dataflow's to one engine a machine.

    Raises:
        UsageError: with the remedy.
    """
    if runner_of(options) == IN_PROCESS:
        return
    specs = list(specs)
    for spec in specs:
        _check_address(spec, options)
    if runner_of(options) == DATAFLOW:
        _check_dataflow(specs, options)


def _check_address(spec: EngineSpec, options: PipelineOptions) -> None:
    for url in spec.url.split(","):
        host = url.partition("://")[2].partition("/")[0]
        if has_secret(url) and not url.startswith("@"):
            raise UsageError(
                "a password or key in --engine_url would stand in the job's description: give "
                f"workers the key in their environment, as {spec.key}"
            )
        is_here = url.startswith("@") and "://" not in url
        is_here |= host.rpartition(":")[0] in _LOCAL_HOSTS or host in _LOCAL_HOSTS
        if is_here and runner_of(options) == DATAFLOW:
            raise UsageError(
                f"Dataflow's workers cannot reach {url}: --engine_url takes an address in their "
                "network, or @gs://BUCKET/FILE"
            )


def _check_dataflow(specs: list[EngineSpec], options: PipelineOptions) -> None:
    cloud, setup = options.view_as(GoogleCloudOptions), options.view_as(SetupOptions)
    image = options.view_as(WorkerOptions).sdk_container_image
    starts = any(spec.is_started for spec in specs)
    if not image and (starts or not (setup.setup_file or setup.extra_packages)):
        raise UsageError(
            "Dataflow's own container does not hold this project: build one (Dockerfile) and name "
            "it by --sdk_container_image IMAGE"
        )
    if setup.save_main_session is None:
        setup.save_main_session = False  # there is nothing of the job in its main module
    debug = options.view_as(DebugOptions)
    debug.add_experiment(_NO_PACKAGES)
    if not starts:
        return
    services = cloud.dataflow_service_options or []
    if hints(specs, options).get("accelerator") and any(
        "worker_accelerator" in s for s in services
    ):
        raise UsageError(
            "--accelerator and --dataflow_service_options=worker_accelerator say the same: give one"
        )
    if not {_ONE_PROCESS, "use_multiple_sdk_containers"} & {*(debug.experiments or [])}:
        debug.add_experiment(_ONE_PROCESS)  # containers do not share what a machine's processes do


def _ram(text: str) -> str:
    try:
        parse_resource_hints({"min_ram": text})
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a size as 48GB, not {text!r}") from None
    return text
