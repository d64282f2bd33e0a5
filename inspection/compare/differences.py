"""How much systems differ from the first one, and a refiner's word from a judge's and a program's.

Differences are taken on the units that both sides have; their tests are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.intervals import Difference, difference
from inspection.compare.systems import Name, Results, System
from schemas.evaluations import Evaluation
from terminal.text import as_text

REFINEMENT = "refinement"
SELF, JUDGE, PROGRAM = "self", "judge", "program"
"""Who says whether a refinement passes: the refiner, another model, a program."""


@dataclass(frozen=True, slots=True)
class Against:
    """A figure held against another; `difference` is None where they share no unit."""

    system: System
    name: Name
    first: Evaluation
    second: Evaluation
    difference: Difference | None

    @property
    def shared(self) -> int:
        """How many units both have."""
        return self.difference.units if self.difference else 0


def against_first(results: Results, *, parts: bool = False) -> list[Against]:
    """The figures of every other system held against the first one's."""
    base, *others = results.systems
    return [
        _held(system, name, results.found[base][name], results.found[system][name])
        for system in others
        for name in results.names(parts=parts)
        if name in results.found[base] and name in results.found[system]
    ]


def kindness(results: Results) -> list[Against]:
    """What each refiner says of its own refinements, held against a program and a judge."""
    if results.benchmark != REFINEMENT:
        return []
    own = Name(SELF, "")
    return [
        _held(system, name, found[name], found[own])
        for name in (Name(PROGRAM, ""), Name(JUDGE, ""))
        for system, found in results.found.items()
        if own in found and name in found
    ]


def _held(system: System, name: Name, first: Evaluation, second: Evaluation) -> Against:
    return Against(system, name, first, second, difference(first.units, second.units))


def warnings(results: Results, called: dict[System, str], held: Sequence[Against]) -> list[str]:
    """What a reader must know before reading differences: what was not scored, not shared, or
    scored by another."""
    found = []
    for system, figures in results.found.items():
        missing: dict[tuple[int, int], list[str]] = {}
        for name in results.names():
            figure = figures.get(name)
            if figure is not None and figure.scored < figure.items:
                key = (figure.scored, figure.items)
                missing.setdefault(key, []).append(as_text(name.metric))
        for (scored, items), metrics in missing.items():
            found.append(
                f"{called[system]}: {items - scored:,} of {items:,} items have no score "
                f"({', '.join(metrics)})"
            )
    first = called[results.systems[0]]
    kinds: dict[str, list[str]] = {}
    for each in held:
        for text in _doubts(each, called[each.system], first):
            kinds.setdefault(text, []).append(as_text(each.name.metric))
    return found + [f"{text} ({', '.join(metrics)})" for text, metrics in kinds.items()]


def _doubts(held: Against, name: str, first: str) -> list[str]:
    one, other = held.first, held.second
    counts = len(one.units), len(other.units)
    doubts = []
    if one.value is None or other.value is None:
        pass
    elif not all(counts):
        doubts.append(f"{name} and {first}: no difference, another program says the figure")
    elif not held.shared:
        doubts.append(f"{name} and {first}: no difference, they have no item in common")
    elif max(counts) > held.shared:
        doubts.append(
            f"{name} and {first}: not the same items; the difference is on the {held.shared:,} "
            f"that both have, of {counts[1]:,} and {counts[0]:,}"
        )
    if one.scorer != other.scorer and held.name.metric != SELF:
        doubts.append(
            f"{name} and {first}: scored by {as_text(other.scorer)} and {as_text(one.scorer)}; "
            "a difference may be the scorers'"
        )
    return doubts
