"""What is read of the tables of a reproduction's runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspection.reproduction import measured
from inspection.reproduction.contract import Case
from inspection.reproduction.measured import ACCURACY, BIAS, PROGRAM, SELF, Results
from terminal.exits import InputError
from tests.inspection.evaluated import half
from tests.inspection.reproduction.folders import Folder, read

LAST = Case("taught", "spar", 2)


def value(results: Results, case: Case, figure: str = measured.HEADLINE) -> float:
    found = results.pooled(case, figure)
    assert found
    return found.value


def test_each_variant_is_a_case_of_its_own(tmp_path: Path) -> None:
    results = read(
        Folder(tmp_path)
        .measured("taught", "base", 0, average=half(10, 2))
        .measured("taught", "spar", 2, average=half(10, 7))
        .measured("unseen", "spar", 2, average=half(10, 4))
        .measured("taught", "spar", 2, seed=2, average=half(10, 9))
    )
    assert value(results, Case("taught", "base", 0)) == 0.2
    assert value(results, Case("unseen", "spar", 2)) == 0.4
    assert value(results, LAST) == pytest.approx(0.8)
    assert results.seeds == [1, 2]
    assert results.iterations("spar") == [2]
    assert results.iterations("spar", "ifeval") == []
    assert results.warnings == []


def test_the_headline_is_the_average_else_the_first_figure(tmp_path: Path) -> None:
    results = read(
        Folder(tmp_path)
        .measured("ifeval", "base", 0, prompt_strict=half(10, 1), average=half(10, 3))
        .measured("gsm8k", "base", 0, flexible=half(10, 5), strict=half(10, 4))
    )
    ifeval = Case("ifeval", "base", 0)
    assert value(results, ifeval) == 0.3
    assert value(results, ifeval, measured.PROMPTS_STRICT) == 0.1
    assert value(results, Case("gsm8k", "base", 0)) == 0.5


def test_agreement_is_of_answers_that_a_program_checked(tmp_path: Path) -> None:
    verdicts = ["yes", "yes", "yes", "no", "tie", "yes", "unjudged"]
    checked = [True, True, False, False, True, None, False]
    results = read(Folder(tmp_path).judged("spar", 1, verdicts, checked))
    case = Case("agreement", "spar", 1)
    assert value(results, case, ACCURACY) == pytest.approx(3 / 5), (
        "a tie is no yes, and what is not judged is not counted"
    )
    assert value(results, case, BIAS) == pytest.approx(3 / 5 - 3 / 5)
    verdicts = ["yes", "yes", "no", "yes"]
    results = read(Folder(tmp_path / "b").judged("spar", 1, verdicts, [True, False, False, False]))
    assert value(results, case, BIAS) == pytest.approx(3 / 4 - 1 / 4)


def test_the_bias_on_refinements_is_own_word_less_program(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured(
        *("refinement", "spar", 1), program=[1, 0, 0, None], self=[1, 1, 1, 1]
    )
    results = read(folder)
    case = Case("refinement", "spar", 1)
    assert value(results, case, PROGRAM) == pytest.approx(1 / 3)
    assert value(results, case, SELF) == 1
    assert value(results, case, BIAS) == pytest.approx(2 / 3)


def test_a_refiner_without_a_program_has_no_bias(tmp_path: Path) -> None:
    results = read(Folder(tmp_path).measured("refinement", "spar", 1, self=[1, 0]))
    case = Case("refinement", "spar", 1)
    assert value(results, case, SELF) == 0.5
    assert results.pooled(case, BIAS) is None
    assert results.paired(case, case, PROGRAM, SELF) is None


def test_perplexity_and_responses_are_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path).perplexity("base", 0, 12.5).perplexity("base", 0, 13, seed=2)
    folder.measured("decoding", "spar", 2, decoder="bfs", responses=8, made=5.5, average=half(4, 2))
    results = read(folder)
    assert results.perplexities == {Case("perplexity", "base", 0): {1: 12.5, 2: 13}}
    assert results.responses == {Case("decoding", "spar", 2, "bfs", 8): {1: 5.5}}


def test_items_without_a_score_are_told(tmp_path: Path) -> None:
    results = read(Folder(tmp_path).measured("taught", "spar", 2, average=[1, 0, None]))
    assert results.warnings == ["taught, spar, iteration 2, seed 1: 1 of 3 items have no score."]
    assert value(results, LAST) == 0.5


def test_an_evaluation_without_any_score_has_no_figure(tmp_path: Path) -> None:
    results = read(Folder(tmp_path).measured("taught", "spar", 2, average=[None, None]))
    assert results.pooled(LAST) is None
    assert results.cases("taught") == []
    assert len(results.warnings) == 1


@pytest.mark.parametrize("measure", ["taught", "agreement"])
def test_missing_rows_are_told(tmp_path: Path, measure: str) -> None:
    folder = Folder(tmp_path)
    if measure == "agreement":
        folder.judged("spar", 2, ["yes"], [None])
    else:
        folder.measured("taught", "spar", 2, average=[1])
        folder.evaluations[0]["variant"] = "another"
    with pytest.raises(InputError, match="json names it as done"):
        read(folder)


def test_the_base_model_is_compared_in_seeds_that_did_not_measure_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("taught", "base", 0, average=half(10, 2))
    for seed, met in ((1, 4), (2, 8)):
        folder.measured("taught", "bootstrap", 0, seed=seed, average=half(10, met))
        folder.measured("taught", "spar", 2, seed=seed, average=half(10, met))
    results = read(folder)
    base = Case("taught", "base", 0)
    found = results.paired(base, LAST)
    assert found
    assert found.value == pytest.approx(0.4)
    assert {seed: round(each, 3) for seed, each in found.by_seed.items()} == {1: 0.2, 2: 0.6}
    back = results.paired(LAST, base)
    assert back and back.value == pytest.approx(-0.4)
