"""The sentences on the expected order: as in the paper, otherwise, not to be told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspection.reproduction.expectations import (
    Expectation,
    Order,
    Outcome,
    expectations,
    outcome,
    sentence,
    summary,
)
from inspection.reproduction.figures import Paired
from inspection.reproduction.measured import Results
from tests.inspection.evaluated import half
from tests.inspection.reproduction.folders import Folder, read

HIGHER = Paired(0.031, 0.012, 0.05, 0.002, 200, {1: 0.031})
LOWER = Paired(-0.031, -0.05, -0.012, 0.0005, 200, {1: -0.031})
ALIKE = Paired(0.002, -0.01, 0.014, 0.71, 1, {1: 0.01, 2: -0.006})


def expected(order: Order, found: Paired | None, *, is_of_paper: bool = True) -> Expectation:
    return Expectation("the old model", "the new model", "on prompts", order, is_of_paper, found)


def said(order: Order, found: Paired, *, is_of_paper: bool = True) -> str:
    return sentence(expected(order, found, is_of_paper=is_of_paper), found)


def test_as_in_the_paper() -> None:
    assert said("above", HIGHER) == (
        "As in the paper: the new model is above the old model on prompts: "
        "+3.1 [+1.2, +5.0], p = 0.002, 200 prompts."
    )
    assert said("not below", HIGHER).startswith("As in the paper: the new model is above")


def test_otherwise() -> None:
    assert said("above", LOWER) == (
        "Otherwise than in the paper: the new model is below the old model on prompts, and was "
        "expected above it: -3.1 [-5.0, -1.2], p < 0.001, 200 prompts."
    )
    assert "and was expected not below it" in said("not below", LOWER)
    assert "is above the old model on prompts, and was expected not above it" in said(
        "not above", HIGHER
    )


def test_not_to_be_told_apart() -> None:
    assert said("above", ALIKE) == (
        "Not to be told apart: the new model and the old model on prompts, where the former was "
        "expected above the latter: +0.2 [-1.0, +1.4], p = 0.710, 1 prompt "
        "(seed 1 +1.0, seed 2 -0.6)."
    )
    assert "expected not below the latter, which these figures allow: +0.2" in said(
        "not below", ALIKE
    )


def test_what_the_paper_did_not_measure_is_not_said_of_it() -> None:
    assert said("not above", LOWER, is_of_paper=False).startswith("As expected: the new model is")
    assert said("above", LOWER, is_of_paper=False).startswith("Otherwise: the new model is below")


@pytest.mark.parametrize(
    ("p", "how"), [(0.049, Outcome.AS_EXPECTED), (0.05, Outcome.NOT_TOLD_APART)]
)
def test_figures_are_told_apart_below_five_percent(p: float, how: Outcome) -> None:
    assert outcome("above", Paired(0.1, 0.0, 0.2, p, 9, {1: 0.1})) is how


def test_the_summary_counts() -> None:
    some = [
        *(expected("above", each) for each in (HIGHER, HIGHER, HIGHER, LOWER, LOWER, ALIKE)),
        expected("above", None),
    ]
    assert summary(some) == (
        "Of 6 comparisons in which an order is expected, 3 came out as expected, 2 otherwise, "
        "and in 1 the two cannot be told apart. 1 more cannot be made yet."
    )
    assert summary(some[:1]).endswith("in 0 the two cannot be told apart.")
    assert summary(some[-1:]) == (
        "None of the comparisons in which an order is expected can be made yet."
    )


def outcomes(found: list[Expectation]) -> dict[str, Outcome | None]:
    return {
        each.title: None if each.found is None else outcome(each.order, each.found)
        for each in found
    }


def test_all_expectations_of_a_whole_reproduction(whole: Results) -> None:
    found = outcomes(expectations(whole, 2))
    taught = "(on held-out prompts of the taught kinds)"
    agreement = "(in agreement with the program)"
    own = "the refiner's own share above the program's share"
    yes, no, alike = Outcome.AS_EXPECTED, Outcome.OTHERWISE, Outcome.NOT_TOLD_APART
    assert found == {
        f"the bootstrap model above the base model {taught}": yes,
        f"SPaR after iteration 1 above the bootstrap model {taught}": yes,
        f"SPaR after iteration 2 not below SPaR after iteration 1 {taught}": alike,
        f"SPaR after iteration 2 above independent pairs after iteration 2 {taught}": yes,
        f"the refiner of iteration 1 not below the bootstrap refiner {agreement}": yes,
        f"the refiner of iteration 2 not below the refiner of iteration 1 {agreement}": alike,
        f"{own} (of refinements that pass, after iteration 1)": yes,
        f"{own} (of refinements that pass, after iteration 2)": yes,
        "the refiner's bias after iteration 2 not above the one after iteration 1 "
        "(on its own refinements)": no,
        "breadth-first search of 8 responses above the greedy answer (at inference)": yes,
        "SPaR after iteration 2 not below the base model (on kinds that were not taught)": yes,
    }


def test_the_growth_of_the_bias_is_a_difference_of_differences(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for iteration, program, own in ((1, 4, 6), (2, 8, 11)):
        folder.measured(
            *("refinement", "spar", iteration), program=half(20, program), self=half(20, own)
        )
    [growth] = [each for each in expectations(read(folder), 2) if "bias" in each.second]
    assert growth.found
    assert growth.found.value == pytest.approx(3 / 20 - 2 / 20)


def test_independent_pairs_are_met_at_the_last_shared_iteration(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("taught", "independent", 1, average=half(40, 10))
    for iteration in (1, 2):
        folder.measured("taught", "spar", iteration, average=half(40, 20 * iteration))
    [against] = [each for each in expectations(read(folder), 2) if "independent" in each.first]
    assert against.second == "SPaR after iteration 1"
    assert against.found and against.found.value == pytest.approx(0.25)


def test_nothing_measured_leaves_every_expectation_open() -> None:
    found = expectations(Results(), 3)
    assert {each.found for each in found} == {None}
    assert "SPaR after iteration 3 not below SPaR after iteration 2" in found[3].title
    assert [each.order for each in found[:4]] == ["above", "above", "not below", "not below"]
