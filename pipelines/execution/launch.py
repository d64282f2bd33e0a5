"""A stage as a Beam pipeline: launched, watched, cancelled where Ctrl-C asks for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.execution.inference import INTERRUPTED, Inference, RunStopped
from pipelines.execution.plan import Part
from pipelines.execution.session import Session
from pipelines.execution.work import Work
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec

_POLL_S = 1.0
_CANCEL_S = 120.0
"""How long a job that is cancelled is waited for."""


def launch(
    parts: Sequence[Part],
    works: Sequence[Work],
    dataset: Dataset,
    specs: Mapping[str, EngineSpec],
    options: PipelineOptions,
    session: Session,
) -> Any:
    """Run the pipeline of a stage, or of several, over work files; wait, and return its result.

    Raises:
        RunStopped: the engine is gone, the results cannot be written, or it was interrupted; the
            job is cancelled then, wherever it runs.
    """
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | "Works" >> beam.Create(works)
        | "Spread" >> beam.Reshuffle()
        | "+".join(part.stage.name for part in parts)
        >> beam.ParDo(Inference(parts, dataset, specs, session))
    )
    result = None
    try:
        with _QuietBeam():
            result = pipeline.run()  # a runner of this process is done when this returns
            _watch(result, session)
    except (Exception, KeyboardInterrupt) as error:
        reason = INTERRUPTED if "KeyboardInterrupt" in repr(error) else _reason(error)
        if reason is None:
            raise
        raise RunStopped(reason + _cancelled(result)) from None
    return result


def _watch(result: Any, session: Session) -> None:
    """Wait for a job's end.

    Raises:
        KeyboardInterrupt: it should be cancelled. RunStopped: somebody else cancelled it.
    """
    while not PipelineState.is_terminal(result.state):
        if session.is_pressed:
            raise KeyboardInterrupt
        time.sleep(_POLL_S)
    if result.state in (PipelineState.CANCELLED, PipelineState.DRAINED):
        raise RunStopped(f"the job was {result.state.lower()}")
    result.wait_until_finish()  # raises what made it fail


def _cancelled(result: Any) -> str:
    """Cancel a job that still runs; says where that did not come about."""
    if result is None or PipelineState.is_terminal(result.state):
        return ""
    try:
        result.cancel()
        deadline = time.monotonic() + _CANCEL_S
        while not PipelineState.is_terminal(result.state):
            if time.monotonic() > deadline:
                return "; the runner has not ended the job yet: see that it does"
            time.sleep(_POLL_S)
    except Exception as error:  # whatever a runner raises: the user must know that it goes on
        return f"; the runner did not cancel the job ({error}): see that it ends"
    return ""


def _reason(error: BaseException) -> str | None:
    """Why a worker stopped the run: Beam hands its exceptions on as text."""
    marker = f"{RunStopped.__name__}: "
    text = str(error)
    if isinstance(error, RunStopped):
        return text.partition(" [while running")[0]
    if marker not in text:
        return None
    return text.rpartition(marker)[2].partition(" [while running")[0].partition("\n\n")[0].strip()


class _QuietBeam(contextlib.AbstractContextManager[None]):
    """Beam's own log kept from users while a pipeline runs, unless they turned it up."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("apache_beam")
        self._level = self._logger.level
        if logging.getLogger().level > logging.INFO:
            self._logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
