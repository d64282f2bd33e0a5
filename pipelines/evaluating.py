"""The models of each iteration evaluated: the actor, the refiner, and whether one got worse."""

from __future__ import annotations

import sys
from typing import Any

from rich.table import Table

from evaluation.benchmarks import BENCHMARKS
from evaluation.intervals import Difference, difference
from pipelines.evaluation_options import Evaluating
from pipelines.iterate_options import Loop
from pipelines.iterations import ACTOR, REFINER
from pipelines.steps import Steps
from schemas.evaluations import Part, Unit
from schemas.table import MAIN
from schemas.views import connect
from terminal.text import as_table


def evaluate(steps: Steps, evaluating: Evaluating, iteration: int) -> None:
    """Evaluate the models that begin an iteration, unless that is done."""
    record = steps.loop.models.record(iteration)
    if record.evaluated == evaluating.argv:
        return
    actor, refiner = (steps.model(role, iteration) for role in (ACTOR, REFINER))
    with steps.noted(iteration, record):
        names = ", ".join(evaluating.benchmarks)
        steps.announce(iteration, f"actor {actor} and refiner {refiner} on {names}")
        given = ["--iteration", str(iteration), "--actor_model", actor, "--refiner_model", refiner]
        command = [sys.executable, "-m", "pipelines.evaluate", *evaluating.argv, *given]
        steps.run(command, f"the evaluation of iteration {iteration}")
        record.evaluated = evaluating.argv


def is_worse(steps: Steps, evaluating: Evaluating, iteration: int) -> bool:
    """Whether the actor that begins an iteration is worse than the one before; says what fell."""
    loop = steps.loop
    if iteration == 1 or loop.models.of(ACTOR, iteration) == loop.models.of(ACTOR, iteration - 1):
        return False
    for name in evaluating.benchmarks:
        found = _difference(loop.run, name, iteration) if BENCHMARKS[name].asks_actor else None
        if found is not None and found.high < 0:
            steps.out.print(
                f"\nstopped: {loop.models.of(ACTOR, iteration)} is worse than "
                f"{loop.models.of(ACTOR, iteration - 1)}: {name} {headline(name)} fell by "
                f"{-found.value:.4f} (95 %: {-found.high:.4f} to {-found.low:.4f}, "
                f"{found.units:,} items). The one before is the better one; --stop_when_worse left "
                "out goes on",
                markup=False,
            )
            return True
    return False


def headline(benchmark: str) -> str:
    """The first of a benchmark's figures."""
    return BENCHMARKS[benchmark].figures(())[0].metric


_UNITS = """
    select units from evaluations
    where iteration = ? and variant = ? and benchmark = ? and metric = ? and part = ''
"""


def _difference(run: str, benchmark: str, iteration: int) -> Difference | None:
    with connect(run, ("evaluations",)) as connection:
        before, after = (
            connection.execute(_UNITS, [t, MAIN, benchmark, headline(benchmark)]).fetchone()
            for t in (iteration - 1, iteration)
        )
    if before is None or after is None:
        return None
    return difference(*([_unit(each) for each in units] for (units,) in (before, after)))


def _unit(row: dict[str, Any]) -> Unit:
    return Unit(row["key"], [Part(part["over"], part["under"]) for part in row["parts"]])


_CURVE = """
    select iteration, value, low, high, scored, items from evaluations
    where variant = ? and benchmark = ? and metric = ? and part = ''
"""


def table(loop: Loop, evaluating: Evaluating, last: int) -> Table:
    """The headline figure of each benchmark, by the iteration that the models begin."""
    columns = range(1, last + 1)
    body = []
    with connect(loop.run, ("evaluations",)) as connection:
        for name in evaluating.benchmarks:
            bound = [MAIN, name, headline(name)]
            found = {t: rest for t, *rest in connection.execute(_CURVE, bound).fetchall()}
            cells = [_cell(*found[t]) if t in found else "" for t in columns]
            body.append([f"{name} {headline(name)}", *cells])
    models = [f"M_{t}, R_{t}" for t in columns]
    return as_table(["95 % in brackets", *models], body, "How good the models are")


def _cell(
    value: float | None, low: float | None, high: float | None, scored: int, items: int
) -> str:
    if value is None:
        return f"none of {items:,} scored"
    few = "" if scored == items else f", {scored:,} of {items:,}"
    return f"{value:.3f} ({low:.3f} to {high:.3f}{few})"
