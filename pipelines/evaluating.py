"""The models of each iteration evaluated: the actor, the refiner, and whether one got worse."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.table import Table

from evaluation.benchmarks import BENCHMARKS
from inspection.compare.systems import evaluation
from pipelines.evaluation_options import Asked, Evaluating
from pipelines.iterate_options import Loop
from pipelines.iterations import ACTOR, REFINER
from pipelines.steps import Steps
from schemas.evaluations import Evaluation
from schemas.views import connect
from terminal.text import as_table

if TYPE_CHECKING:
    from evaluation.intervals import Difference


def evaluate(steps: Steps, evaluating: Evaluating, iteration: int) -> None:
    """Evaluate the models that begin an iteration, unless that is done."""
    record = steps.loop.models.record(iteration)
    for asked in evaluating.jobs:
        if record.evaluated.get(asked.variant) != asked.counts:
            with steps.noted(iteration, record):
                _evaluate(steps, asked, iteration)
                record.evaluated[asked.variant] = asked.counts


def _evaluate(steps: Steps, asked: Asked, iteration: int) -> None:
    actor, refiner = (steps.model(role, iteration) for role in (ACTOR, REFINER))
    names = ", ".join(asked.benchmarks)
    steps.announce(iteration, f"actor {actor} and refiner {refiner} on {names}")
    given = ["--iteration", str(iteration), "--actor_model", actor, "--refiner_model", refiner]
    command = [sys.executable, "-m", "pipelines.evaluate", *asked.running, *asked.counts, *given]
    steps.run(command, f"the evaluation of iteration {iteration}")


def is_worse(steps: Steps, evaluating: Evaluating, iteration: int) -> bool:
    """Whether the actor that begins an iteration is worse than the one before; says what fell."""
    loop = steps.loop
    after, before = (loop.models.of(ACTOR, t) for t in (iteration, iteration - 1))
    if iteration == 1 or after == before:
        return False
    for asked in evaluating.jobs:
        for name in asked.benchmarks:
            held = headlines(loop.run, name, asked.variant) if BENCHMARKS[name].asks_actor else {}
            found = _difference(held, iteration)
            if found is not None and found.high < 0:
                best = _best(held, iteration)
                steps.out.print(
                    f"\nstopped: {after} is worse than {before}: {name} {held[iteration].metric} "
                    f"fell by {-found.value:.4f} (95 %: {-found.high:.4f} to {-found.low:.4f}, "
                    f"{found.units:,} shared units). The best so far is "
                    f"{loop.models.of(ACTOR, best)} ({held[best].value:.4f}). Without "
                    "--stop_when_worse the same command goes on",
                    markup=False,
                )
                return True
    return False


def _difference(held: dict[int, Evaluation], iteration: int) -> Difference | None:
    from evaluation.intervals import difference  # scipy is of the extra `evaluate`

    if not {iteration - 1, iteration} <= held.keys():
        return None
    return difference(held[iteration - 1].units, held[iteration].units)


def _best(held: dict[int, Evaluation], last: int) -> int:
    """The iteration with the highest figure up to this one, of equal ones the first."""
    figures = {t: held[t].value for t in sorted(held) if t <= last}
    known = {t: value for t, value in figures.items() if value is not None}
    return max(known, key=lambda t: known[t])


def headlines(run: str, benchmark: str, variant: str) -> dict[int, Evaluation]:
    """A benchmark's headline, the first figure of all of it as they were written, by iteration."""
    with connect(run, ("evaluations",)) as connection:
        relation = connection.sql(
            "select * from evaluations where benchmark = $1 and variant = $2 and part = ''",
            params=[benchmark, variant],
        )
        rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    held: dict[int, Evaluation] = {}
    for row in rows:
        held.setdefault(row["iteration"], evaluation(row))
    return held


def table(loop: Loop, evaluating: Evaluating, last: int) -> Table:
    """The headline figure of each benchmark, by the iteration that the models begin."""
    columns = range(1, last + 1)
    body = []
    for asked in evaluating.jobs:
        for name in asked.benchmarks:
            held = headlines(loop.run, name, asked.variant)
            metrics = dict.fromkeys(held[t].metric for t in columns if t in held)
            cells = [_cell(held[t]) if t in held else "" for t in columns]
            body.append([" ".join([name, *metrics]), *cells])
    models = [f"M_{t}, R_{t}" for t in columns]
    return as_table(["95 % in brackets", *models], body, "How good the models are")


def _cell(figure: Evaluation) -> str:
    if figure.value is None:
        return f"none of {figure.items:,} scored"
    few = "" if figure.scored == figure.items else f", {figure.scored:,} of {figure.items:,}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}{few})"
