"""A runner as on another machine: the job goes on by itself until it ends or is cancelled."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

ENDS_EARLY = "REMOTE_ENDS_EARLY"
"""Environment variable: the job says that it is done and has done nothing."""
PIDS = "REMOTE_PIDS"
"""Environment variable: a file that gets the number of each job's process."""


class Result(PipelineResult):
    """Of a job in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        super().__init__(PipelineState.RUNNING)
        self._process = process
        self._is_cancelled = False

    @property
    def state(self) -> str:
        if self._process is None:
            return PipelineState.DONE
        code = self._process.poll()
        if code is None:
            return PipelineState.RUNNING
        if self._is_cancelled:
            return PipelineState.CANCELLED
        return PipelineState.FAILED if code else PipelineState.DONE

    @state.setter
    def state(self, _: str) -> None:
        """What the base class sets says nothing here."""

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._process:
            self._process.terminate()

    def wait_until_finish(self, duration: int | None = None) -> str:
        if self._process:
            self._process.wait()
        if self.state == PipelineState.FAILED:
            raise RuntimeError("the remote job failed")
        return self.state


class RemoteRunner(PipelineRunner):
    """Runs a pipeline in a process that nobody else's Ctrl-C reaches."""

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Result:
        if os.environ.get(ENDS_EARLY):
            return Result(None)
        handle, name = tempfile.mkstemp(suffix=".pipeline")
        with open(handle, "wb") as file:
            where = EmbeddedPythonEnvironment.default()
            file.write(pipeline.to_runner_api(default_environment=where).SerializeToString())
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, name],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if PIDS in os.environ:
            with Path(os.environ[PIDS]).open("a") as pids:
                pids.write(f"{process.pid}\n")
        return Result(process)


def main(name: str) -> None:
    with open(name, "rb") as file:
        proto = beam_runner_api_pb2.Pipeline.FromString(file.read())
    os.unlink(name)
    FnApiRunner().run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()


if __name__ == "__main__":
    from tests.pipelines.execution.remote import main as _main

    _main(sys.argv[1])
