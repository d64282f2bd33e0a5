"""A stage as a Beam pipeline: launched, watched, cancelled where Ctrl-C asks for it."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from pipelines.execution.elsewhere import IN_PROCESS, in_a_line, of_all_its_life, runner_of
from pipelines.execution.inference import Inference
from pipelines.execution.plan import Part
from pipelines.execution.runners import failure
from pipelines.execution.session import Session
from pipelines.execution.stop import INTERRUPTED, RunStopped
from pipelines.execution.work import Work
from pipelines.execution.workers import hints
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec

_POLL_S = 1.0
_LOOKS = 5
"""How often in a row a runner may not answer."""

_CANCEL_S = 120.0
"""How long a job that is cancelled is waited for."""


def launch(
    parts: Sequence[Part],
    works: Sequence[Work],
    dataset: Dataset,
    specs: Mapping[str, EngineSpec],
    options: PipelineOptions,
    session: Session,
    leaves: Callable[[Any], bool] = lambda _: False,
) -> Any | None:
    """Run the pipeline of a stage, or of several, over work files, and wait for its end.

    Args:
        leaves: told the result of a job that runs elsewhere as soon as there is one; whether it is
            not to be waited for.

    Returns:
        Its result; None if it was not waited for.

    Raises:
        RunStopped: the engine is gone, the results cannot be written, it was interrupted, or a
            runner elsewhere failed; the job is cancelled then, wherever it runs.
    """
    is_here = runner_of(options) == IN_PROCESS
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | beam.Impulse()
        | "Works" >> beam.FlatMap(_by_bucket, works).with_output_types(tuple[str, Work])
        | "Spread" >> beam.GroupByKey()
        | "Of buckets" >> beam.FlatMapTuple(_of_bucket).with_output_types(Work)
        | "+".join(part.stage.name for part in parts)
        >> beam.ParDo(Inference(parts, dataset, specs, session)).with_resource_hints(
            **hints(specs.values(), options)
        )
    )
    result = None
    try:
        with _QuietBeam():
            with _KeptSignal():
                result = pipeline.run()  # a runner of this process is done when this returns
            if not is_here and leaves(result):
                return None
            _watch(result, session)
    except (Exception, KeyboardInterrupt) as error:
        raise _ended(error, result, is_here) from None
    return result


def _by_bucket(_: bytes, works: Sequence[Work]) -> Iterator[tuple[str, Work]]:
    """Yield work files keyed by bucket. Beam would pickle a lambda with the path of its file."""
    yield from ((each.bucket, each) for each in works)


def _of_bucket(_: str, works: Iterable[Work]) -> Iterable[Work]:
    return works


def do_here(part: Part, works: Sequence[Work], dataset: Dataset, session: Session) -> None:
    """Run a stage that asks no engine in this thread, without a Beam pipeline.

    Raises:
        RunStopped: the results cannot be written, or it was interrupted.
    """
    worker = Inference([part], dataset, {}, session)
    try:
        worker.setup()
        worker.start_bundle()
        for each in works:
            worker.process(each)
        worker.finish_bundle()
    finally:
        worker.teardown()


def watch(result: Any, session: Session) -> None:
    """Wait for the end of a job that another process launched.

    Raises:
        RunStopped: as `launch`.
    """
    try:
        with _QuietBeam():
            _watch(result, session)
    except (Exception, KeyboardInterrupt) as error:
        raise _ended(error, result, is_here=False) from None


def _watch(result: Any, session: Session) -> None:
    """Wait for a job's end.

    Raises:
        KeyboardInterrupt: it should be cancelled. RunStopped: somebody else cancelled it.
    """
    while not PipelineState.is_terminal(state := _state(result)):
        if session.is_pressed:
            raise KeyboardInterrupt
        time.sleep(_POLL_S)
    if state in (PipelineState.CANCELLED, PipelineState.DRAINED):
        raise RunStopped(f"the job was {state.lower()}")
    if state != PipelineState.DONE:
        of_all_its_life(result).wait_until_finish()  # raises what made it fail
    with contextlib.suppress(Exception):  # it only clears up
        result.wait_until_finish()


def _state(result: Any) -> str:
    """A job's state; that its runner does not answer is forgiven a few times."""
    for _ in range(_LOOKS - 1):
        with contextlib.suppress(Exception):
            return str(result.state)
        time.sleep(_POLL_S)
    return str(result.state)


def _ended(error: BaseException, result: Any, is_here: bool) -> BaseException:
    """What to raise for an error that ended a job, or the wait for it; the job is cancelled."""
    reason = INTERRUPTED if "KeyboardInterrupt" in repr(error) else _reason(error)
    if reason is None and is_here:
        return error
    return RunStopped((reason or failure(error)) + _cancelled(result))


def _cancelled(result: Any) -> str:
    """Cancel a job that still runs; says where that did not come about."""
    if result is None:
        return ""
    try:
        if PipelineState.is_terminal(result.state):
            return ""
        result.cancel()
        deadline = time.monotonic() + _CANCEL_S
        while not PipelineState.is_terminal(result.state):
            if time.monotonic() > deadline:
                return "; the runner has not ended the job yet: see that it does"
            time.sleep(_POLL_S)
    except Exception as error:  # whatever a runner raises: the user must know that it goes on
        return f"; the runner did not cancel the job ({in_a_line(error)}): see that it ends"
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


class _KeptSignal(contextlib.AbstractContextManager[None]):
    """Ctrl-C does what it did before: a job server that is started takes it to stop itself."""

    def __enter__(self) -> None:
        self._handler = signal.getsignal(signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        if signal.getsignal(signal.SIGINT) is not self._handler:
            signal.signal(signal.SIGINT, self._handler)


class _QuietBeam(contextlib.AbstractContextManager[None]):
    """Beam's own log kept from users while a pipeline runs, unless they turned it up."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("apache_beam")
        self._level = self._logger.level
        if logging.getLogger().level > logging.INFO:
            self._logger.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
