"""The tables: their rows, what stands beside them of the paper, and what is left out."""

from __future__ import annotations

from pathlib import Path

from inspection.reproduction import tables
from inspection.reproduction.markdown import Markdown
from inspection.reproduction.measured import Results
from inspection.reproduction.step_groups import Group
from tests.inspection.evaluated import half
from tests.inspection.reproduction.folders import Folder, read

Row = dict[str, str]


def rows(shown: Markdown | None) -> list[Row]:
    """A table's rows by its head, without escapes."""
    assert shown is not None
    text = shown.replace("\\[", "[").replace("\\]", "]").replace("\\_", "_")
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    )
    return [dict(zip(head, line, strict=True)) for line in lines]


def start(row: Row, column: str) -> str:
    return row[column].partition(" ")[0]


def test_table_1_has_models_in_order_beside_the_paper(whole: Results) -> None:
    found = rows(tables.following(whole))
    assert [row["model"] for row in found] == [
        *("base model", "bootstrap model", "SPaR, iteration 1", "SPaR, iteration 2"),
        *("Self-Rewarding, iteration 1", "Meta-Rewarding, iteration 1"),
        *("independent pairs, iteration 1", "independent pairs, iteration 2"),
        *("one greedy refinement, iteration 1", "all prompts in one round, iteration 1"),
    ], "report and veto stand in a table of their own"
    assert [row["paper: IFEval average"] for row in found[:5]] == [
        *("77.9", "78.0", "80.3", "81.1", "–"),
    ]
    assert [row["paper: FollowBench SSR"] for row in found[:3]] == ["63.5", "66.8", "67.5"]
    assert start(found[0], "taught kinds") == "20.0"
    assert found[1]["taught kinds"].endswith("] ± 3.5"), "seeds of 45 and 50 percent"
    assert "seed" not in found[0]["taught kinds"], "one seed of the base model is enough"
    assert found[2]["IFEval average"] == "–"


def test_columns_without_a_figure_are_left_out(tmp_path: Path) -> None:
    shown = tables.following(read(Folder(tmp_path).measured("taught", "base", 0, average=[1, 0])))
    [row] = rows(shown)
    assert [*row] == [*("model", "taught kinds", "paper: IFEval average", "paper: FollowBench SSR")]


def test_table_2_has_agreement_and_bias(whole: Results) -> None:
    found = rows(tables.agreement(whole))
    assert [row["refiner"] for row in found] == [
        *("bootstrap model", "SPaR, iteration 1", "SPaR, iteration 2"),
    ]
    assert [start(row, "agreement") for row in found] == ["50.0", "70.0", "80.0"]
    assert [start(row, "bias") for row in found] == ["+50.0", "+30.0", "+20.0"]
    assert found[2]["paper: LLMBar natural"] == "70.5"
    assert found[2]["paper: LLMBar adversarial"] == "66.8"


def test_table_4_holds_each_ablation_against_the_same_iteration(whole: Results) -> None:
    greedy, one_round, independent = rows(tables.ablations(whole, 2))
    assert [row["without"] for row in (greedy, one_round, independent)] == [
        *("no tree search", "no iterations", "no refinement"),
    ]
    assert {row["measure"] for row in (greedy, one_round, independent)} == {"taught kinds"}
    assert greedy["SPaR's"] == "iteration 1"
    assert start(greedy, "difference to SPaR") == "-10.0"
    assert "p = " in greedy["difference to SPaR"] and greedy["prompts"] == "20"
    assert [greedy[f"paper: {name}"] for name in ("IFEval P(S)", "IFEval I(S)", "FollowBench")] == [
        *("-2.0", "-0.8", "-1.7"),
    ]
    assert one_round["SPaR's"] == "iteration 2", "all prompts against the last iteration"
    assert one_round["paper: FollowBench"] == "-2.0"
    assert independent["SPaR's"] == "iteration 2"
    assert start(independent, "difference to SPaR") == "-20.0"
    assert independent["paper: IFEval P(S)"] == "-2.6"


def test_one_round_waits_for_the_last_iteration(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("taught", "one_round", 1, average=half(9, 3))
    results = read(folder.measured("taught", "spar", 1, average=half(9, 6)))
    assert tables.ablations(results, 2) is None
    [row] = rows(tables.ablations(results))
    assert row["SPaR's"] == "iteration 1"


def test_ablations_on_ifeval_are_strict(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for line, prompts, instructions in (("spar", 8, 9), ("independent", 5, 8)):
        folder.measured(
            *("ifeval", line, 1),
            average=half(10, 1),
            prompt_strict=half(10, prompts),
            instruction_strict=half(10, instructions),
        )
    found = rows(tables.ablations(read(folder)))
    assert [(row["measure"], start(row, "difference to SPaR")) for row in found] == [
        ("IFEval P(S)", "-30.0"),
        ("IFEval I(S)", "-10.0"),
    ]


def test_table_5_has_both_words_and_their_difference(whole: Results) -> None:
    first, second = rows(tables.refinements(whole))
    assert (start(first, "by the program"), start(first, "by itself")) == ("40.0", "70.0")
    assert (start(first, "bias"), start(second, "bias")) == ("+30.0", "+50.0")
    assert second["paper: by itself"] == "–", "the paper has the third iteration only"


def test_the_programs_word_is_held_against_that_of_the_main_line(whole: Results) -> None:
    found = rows(tables.words(whole, "decide"))
    assert [row["--checks"] for row in found] == ["report", "veto", "decide"]
    assert {row["iteration"] for row in found} == {"1"}
    assert "unseen kinds" not in found[0], "only the main line was measured on these"
    column = "difference to decide, taught kinds"
    assert [start(row, column) for row in found] == ["-10.0", "-5.0", "–"]


def test_the_main_line_may_have_another_word(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("taught", "spar", 1, average=half(10, 5))
    results = read(folder.measured("taught", "decide", 1, average=half(10, 7)))
    veto, decide = rows(tables.words(results, "veto"))
    assert (veto["--checks"], start(veto, "taught kinds")) == ("veto", "50.0")
    assert (decide["--checks"], start(decide, "taught kinds")) == ("decide", "70.0")
    assert start(decide, "difference to veto, taught kinds") == "+20.0"


def test_decoders_stand_with_what_they_made(whole: Results) -> None:
    found = rows(tables.decoding(whole))
    assert len(found) == 9
    greedy = found[0]
    assert list(dict.fromkeys(row["decoder"] for row in found)) == [
        *("greedy", "best of N", "iterative refinement"),
        *("tree search, breadth first", "tree search, depth first"),
    ]
    assert (greedy["responses allowed"], greedy["responses made for a prompt"]) == ("1", "1.0")
    [bfs] = [
        row
        for row in found
        if row["decoder"] == "tree search, breadth first" and row["responses allowed"] == "8"
    ]
    assert bfs["responses made for a prompt"] == "6.4"
    assert start(bfs, "score") == "75.0"


def test_general_ability_before_and_after(whole: Results) -> None:
    ability, perplexity = rows(tables.general(whole))
    assert ability["measure"] == "gsm8k"
    assert start(ability, "base model") == "30.0"
    change = "change from base to last"
    assert ability[change].startswith("+0.0 [") or ability[change].startswith("+2.5 [")
    assert perplexity["base model"] == "13.50"
    assert perplexity["SPaR, iteration 2"] == "16.00 ± 0.71"
    assert perplexity[change] == "+18.5 %"


def test_general_ability_of_the_first_model_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path).measured("gsm8k", "base", 0, exact=half(10, 3))
    [row] = rows(tables.general(read(folder)))
    assert [*row] == ["measure", "base model", "change from base to last"]
    assert row["change from base to last"] == "–"


def test_a_change_needs_the_base_model(tmp_path: Path) -> None:
    folder = Folder(tmp_path).perplexity("bootstrap", 0, 12.0).perplexity("spar", 1, 15.0)
    [row] = rows(tables.general(read(folder.perplexity("spar", 2, 18.0))))
    assert [*row.values()] == ["perplexity", "12.00", "18.00", "–"]


def test_steps_are_added_up() -> None:
    found = rows(tables.steps([Group("DPO", 2, 5400), Group("data round", 1, 1800)]))
    assert [[*row.values()] for row in found] == [
        ["DPO", "2", "90.0", "45.0", "75%"],
        ["data round", "1", "30.0", "30.0", "25%"],
        ["all", "3", "120.0", "40.0", "100%"],
    ]
    assert rows(tables.steps([Group("x", 1, 0.0)]))[0]["share of time"] == "–"


def test_what_is_not_measured_is_no_table() -> None:
    nothing = Results()
    made = (
        *(tables.following(nothing), tables.agreement(nothing), tables.ablations(nothing, 3)),
        *(tables.refinements(nothing), tables.words(nothing, "decide"), tables.decoding(nothing)),
        *(tables.general(nothing), tables.steps([])),
    )
    assert {*made} == {None}
