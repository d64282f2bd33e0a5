"""Whether a reproduction comes out in the order that is expected of it.

An expectation holds two figures against each other. Its sentence says one of three things: the
figures differ as expected, they differ the other way, or they cannot be told apart, which they can
be where the paired bootstrap over prompts has a p below 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Literal

from inspection.reproduction.contract import (
    AGREEMENT,
    BASE,
    BOOTSTRAP,
    DECODING,
    GREEDY,
    INDEPENDENT,
    REFINEMENT,
    SPAR,
    TAUGHT,
    UNSEEN,
    Case,
)
from inspection.reproduction.figures import Paired
from inspection.reproduction.measured import ACCURACY, BIAS, PROGRAM, SELF, Results
from inspection.reproduction.wording import DECODERS, counted, difference, seed_differences, spoken

SIGNIFICANT = 0.05

Order = Literal["above", "not below", "not above"]
"""Where the second figure is expected to be, seen from the first."""

SEARCH = "bfs"


class Outcome(Enum):
    """How an expectation came out."""

    AS_EXPECTED = "as expected"
    OTHERWISE = "otherwise"
    NOT_TOLD_APART = "not to be told apart"


@dataclass(frozen=True, slots=True)
class Expectation:
    """Two figures and the order in which they are expected.

    on: what both were measured on. is_of_paper: whether the paper found this order; else it is
    only what one would expect. found: the second figure less the first; None where it is not
    there yet.
    """

    first: str
    second: str
    on: str
    order: Order
    is_of_paper: bool
    found: Paired | None

    @property
    def title(self) -> str:
        """The expectation itself, in words."""
        return f"{self.second} {self.order} {self.first} ({self.on})"


def outcome(order: Order, found: Paired) -> Outcome:
    """Return how an expectation came out."""
    if found.p >= SIGNIFICANT or found.value == 0:
        return Outcome.NOT_TOLD_APART
    is_above = found.value > 0
    is_wanted = is_above is (order != "not above")
    return Outcome.AS_EXPECTED if is_wanted else Outcome.OTHERWISE


def sentence(expectation: Expectation, found: Paired) -> str:
    """Return what is said of an expectation whose figures are both there."""
    how = outcome(expectation.order, found)
    first, second, on = expectation.first, expectation.second, expectation.on
    place = "above" if found.value > 0 else "below"
    if how is Outcome.AS_EXPECTED:
        start = "As in the paper" if expectation.is_of_paper else "As expected"
        said = f"{start}: {second} is {place} {first} {on}"
    elif how is Outcome.OTHERWISE:
        start = "Otherwise than in the paper" if expectation.is_of_paper else "Otherwise"
        said = f"{start}: {second} is {place} {first} {on}, and was expected {expectation.order} it"
    else:
        allows = expectation.order != "above"
        said = (
            f"Not to be told apart: {second} and {first} {on}, where the former was expected "
            f"{expectation.order} the latter{', which these figures allow' if allows else ''}"
        )
    text = f"{said}: {difference(found)}, {counted(found.units, 'prompt')}"
    if len(found.by_seed) > 1:
        text += f" ({seed_differences(found)})"
    return f"{text}."


def summary(expectations: Sequence[Expectation]) -> str:
    """Return in one sentence how many expectations came out in which way."""
    found = [outcome(each.order, each.found) for each in expectations if each.found is not None]
    if not found:
        return "None of the comparisons in which an order is expected can be made yet."
    as_expected, otherwise, not_told_apart = (found.count(how) for how in Outcome)
    missing = len(expectations) - len(found)
    later = f" {missing} more cannot be made yet." if missing else ""
    return (
        f"Of {counted(len(found), 'comparison')} in which an order is expected, "
        f"{as_expected} came out as expected, {otherwise} otherwise, and in {not_told_apart} the "
        f"two cannot be told apart.{later}"
    )


def expectations(results: Results, planned: int = 1) -> list[Expectation]:
    """Return all expectations, those whose figures are not there yet included.

    Args:
        planned: how many iterations the reproduction is to have.
    """
    return [
        *_by_iteration(results, planned),
        _against_independent(results),
        *_refiner(results, planned),
        *_bias(results),
        _search(results),
        _unseen(results),
    ]


def _by_iteration(results: Results, planned: int) -> list[Expectation]:
    """Each model is better than the one before it on held-out prompts of the taught kinds."""
    models = _chain(results, TAUGHT, planned)
    return [
        Expectation(
            *(spoken(*one), spoken(*other), "on held-out prompts of the taught kinds"),
            "above" if other in ((BOOTSTRAP, 0), (SPAR, 1)) else "not below",
            is_of_paper=True,
            found=results.paired(Case(TAUGHT, *one), Case(TAUGHT, *other)),
        )
        for one, other in pairwise(models)
    ]


def _chain(results: Results, measure: str, planned: int) -> list[tuple[str, int]]:
    """The models that follow one upon the other: base, bootstrap, iterations."""
    last = max([planned, *results.iterations(SPAR, measure)])
    return [(BASE, 0), (BOOTSTRAP, 0), *((SPAR, number) for number in range(1, last + 1))]


def _against_independent(results: Results) -> Expectation:
    shared = {*results.iterations(SPAR, TAUGHT)} & {*results.iterations(INDEPENDENT, TAUGHT)}
    last = max(shared, default=1)
    first, second = (INDEPENDENT, last), (SPAR, last)
    return Expectation(
        *(spoken(*first), spoken(*second), "on held-out prompts of the taught kinds"),
        "above",
        is_of_paper=True,
        found=results.paired(Case(TAUGHT, *first), Case(TAUGHT, *second)),
    )


def _refiner(results: Results, planned: int) -> list[Expectation]:
    """The refiner agrees with the program no less often after an iteration than before it."""
    models = _chain(results, AGREEMENT, planned)[1:]
    return [
        Expectation(
            *(_refiner_of(*one), _refiner_of(*other), "in agreement with the program"),
            "not below",
            is_of_paper=True,
            found=results.paired(Case(AGREEMENT, *one), Case(AGREEMENT, *other), ACCURACY),
        )
        for one, other in pairwise(models)
    ]


def _refiner_of(line: str, iteration: int) -> str:
    return "the bootstrap refiner" if line == BOOTSTRAP else f"the refiner of iteration {iteration}"


def _bias(results: Results) -> list[Expectation]:
    """A refiner passes more of its own refinements than the program does, but no more with time."""
    iterations = results.iterations(SPAR, REFINEMENT) or [1]
    found = []
    for number in iterations:
        case = Case(REFINEMENT, SPAR, number)
        found.append(
            Expectation(
                *("the program's share", "the refiner's own share"),
                f"of refinements that pass, after iteration {number}",
                "above",
                is_of_paper=number == iterations[-1],
                found=results.paired(case, case, PROGRAM, SELF),
            )
        )
    if len(iterations) > 1:
        first, last = (Case(REFINEMENT, SPAR, iterations[place]) for place in (0, -1))
        found.append(
            Expectation(
                f"the one after iteration {first.iteration}",
                f"the refiner's bias after iteration {last.iteration}",
                "on its own refinements",
                "not above",
                is_of_paper=False,
                found=results.paired(first, last, BIAS),
            )
        )
    return found


def _search(results: Results) -> Expectation:
    """Tree search at inference beats the greedy answer, at the largest number of responses."""
    cases = decoding_cases(results)
    greedy = next((case for case in cases if case.decoder == GREEDY), None)
    searched = max(
        (case for case in cases if case.decoder == SEARCH),
        key=lambda case: case.responses,
        default=None,
    )
    of = f" of {counted(searched.responses, 'response')}" if searched else ""
    return Expectation(
        *("the greedy answer", f"breadth-first search{of}", "at inference"),
        "above",
        is_of_paper=True,
        found=results.paired(greedy, searched) if greedy and searched else None,
    )


def decoding_cases(results: Results) -> list[Case]:
    """Return the cases of decoders, greedy first, by responses.

    They are of SPaR's last model that was measured so, else of another line's.
    """
    cases = results.cases(DECODING)
    if not cases:
        return []
    last = max(cases, key=lambda case: (case.line == SPAR, case.iteration, case.line))
    known = list(DECODERS)
    return sorted(
        (case for case in cases if (case.line, case.iteration) == (last.line, last.iteration)),
        key=lambda case: (
            known.index(case.decoder) if case.decoder in DECODERS else len(known),
            *(case.decoder, case.responses),
        ),
    )


def _unseen(results: Results) -> Expectation:
    last = max(results.iterations(SPAR, UNSEEN), default=1)
    first, second = (BASE, 0), (SPAR, last)
    return Expectation(
        *(spoken(*first), spoken(*second), "on kinds that were not taught"),
        "not below",
        is_of_paper=False,
        found=results.paired(Case(UNSEEN, *first), Case(UNSEEN, *second)),
    )
