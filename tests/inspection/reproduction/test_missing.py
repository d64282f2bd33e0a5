"""What is said not to be there yet."""

from __future__ import annotations

from inspection.reproduction.contract import Case
from inspection.reproduction.facts import Facts
from inspection.reproduction.measured import HEADLINE, Results
from inspection.reproduction.missing import missing
from tests.inspection.evaluated import units


def results(*cases: Case) -> Results:
    return Results(units={case: {HEADLINE: {1: units([1])}} for case in cases})


def test_models_comparisons_measures_and_sections_are_named() -> None:
    found = missing(
        results(Case("taught", "base", 0), Case("taught", "spar", 1), Case("taught", "veto", 1)),
        Facts(iterations=2, comparisons=["independent", "veto", "own_idea"]),
        ["Table 2", "Table 5"],
    )
    assert found == [
        "models of which nothing is measured: the bootstrap model, SPaR after iteration 2",
        "comparisons: independent pairs, own_idea",
        "measures of instruction following: unseen kinds, IFEval average",
        "sections: Table 2, Table 5",
    ]


def test_nothing_is_said_where_nothing_is_missing() -> None:
    models = [("base", 0), ("bootstrap", 0), ("spar", 1)]
    held = results(*(Case(name, *each) for each in models for name in ("taught", "unseen")))
    held.units.update(results(Case("ifeval", "base", 0)).units)
    assert missing(held, Facts(iterations=1, comparisons=[]), []) == []
