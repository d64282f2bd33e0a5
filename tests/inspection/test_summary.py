"""The summary of a run."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inspection.summary import print_summary
from pipelines import refine
from pipelines.execution.intake import ingest
from schemas.drops import Drop
from schemas.evolutions import Evolution
from schemas.failures import Failure
from schemas.judgements import Judgement
from schemas.pairs import Message
from schemas.prompts import Check, Prompt
from schemas.responses import Response, SamplingRecord
from schemas.sft_refiner import SftRefiner
from schemas.trees import Tree
from spar_core.dataset import Dataset, Settled
from terminal.console import Console
from tests import committed
from tests.loopback import Answer, Body, serving
from tests.pipelines.rounds import command, query
from tests.schemas import variants


def summary(run: Path | str, iteration: int | None = None, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(str(run), console, iteration)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def tree_of(solved: bool) -> Tree:
    return Tree("t", "p", "r", "bfs", solved, "n", 0, 0.0, 1, 0, "m", 1, 1)


def cells(text: str) -> list[list[str]]:
    """The rows of all tables in a text."""
    return [
        [c.strip() for c in line.strip("│┃").split("│")]
        for line in text.splitlines()
        if "│" in line
    ]


def test_a_summary_tells_what_the_tables_hold(finished_run: Path) -> None:
    text = summary(finished_run)
    for title in ("Pair quality", "Trees", "Verdicts", "Tokens, by stage"):
        assert title in text
    assert "Failures" not in text, "a table without rows is left out"
    rows = cells(text)
    assert ["pairs", "8"] in rows
    [(similarity,)] = query(finished_run, "select round(avg(similarity), 3) from pairs")
    assert ["similarity", str(similarity)] in rows
    trees = [row[:4] for row in rows]
    assert ["0", "1", "0", "0.0"] in trees, "an unsolved tree whose best node is its root"
    assert ["1", "4", "3", "0.3"] in trees, "one of them unsolved, too"
    assert ["yes", "10", "50", "0", "0", "0"] in rows
    [(tokens,)] = query(finished_run, "select sum(completion_tokens) from trees")
    assert any(row[0] == "tree_search" and f"{tokens:,}" in row for row in rows)
    per_pair = [row[-1] for row in rows if row[0] == "tree_search"]
    assert per_pair == [f"{round(tokens / 8):,}"]


def test_depths_sum_to_all_trees(finished_run: Path) -> None:
    shares = "select sum(trees), sum(solved), sum(share_of_all_trees) from solved_by_depth"
    assert query(finished_run, shares) == [(10, 8, pytest.approx(0.8))]


def test_a_run_without_anything_says_so(tmp_path: Path) -> None:
    assert summary(tmp_path).strip() == "There is nothing to sum up yet."


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ({"trees": [tree_of(False)]}, "no tree is solved"),
        ({"trees": [tree_of(True)]}, "pipelines.pairs makes them of the solved trees"),
        (
            {"judgements": [Judgement("r", "p", "yes", 1.0, 5, 0, 0, "c", [], "m", 1, 1)]},
            "no tree has been grown",
        ),
    ],
)
def test_a_run_without_pairs_says_so(tmp_path: Path, rows: dict[str, list[Any]], why: str) -> None:
    Dataset(str(tmp_path), 1).commit("s", "w", [Settled("k", rows)])
    assert f"No pairs yet: {why}" in summary(tmp_path).replace("python -m ", "")
    assert summary(tmp_path, 2).strip() == "There is nothing to sum up yet."


def test_pairs_that_a_program_denies_are_said_with_what_leaves_them_out(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    told = [None, True, False, False]
    rows = [replace(committed.pair(n), chosen_checked=each) for n, each in enumerate(told)]
    Dataset(run, 1).commit("pairs", "w", [Settled("k", {"pairs": rows})])
    Dataset(run, 2).commit("pairs", "w", [Settled("k", {"pairs": rows[:2]})])
    text = summary(run, 1)
    assert "deny the chosen side of pairs: 2 of the 4 of main" in text
    [where] = re.findall(r"--where '(.*?)'", text)
    assert query(Path(run), f"select count(*) from pairs where iteration = 1 and {where}") == [(2,)]
    assert "--where" not in summary(run, 2)


def test_cut_off_responses_are_counted(tmp_path: Path) -> None:
    sampling = SamplingRecord(1.0, 1.0, 8, 0)
    texts = [
        ("a", "stop"),
        ("b", "length"),
        ("c", "content_filter"),
        (" ", "stop"),
        ("e", "length"),
    ]
    rows = [
        Response(f"r{n}", "p", text, "m", sampling, why, 1, 1)
        for n, (text, why) in enumerate(texts)
    ]
    Dataset(str(tmp_path), 1).commit("sample", "w", [Settled("k", {"responses": rows})])
    shown = cells(summary(tmp_path))
    for row in (["content_filter", "1", "0.2"], ["empty", "1", "0.2"], ["length", "2", "0.4"]):
        assert row in shown


def test_seeds_and_lessons_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    evolved = [
        Evolution("e", "s", "x", "rules"),
        Evolution("f", "s", "x", "rules", dropped="refused"),
    ]
    Dataset(str(tmp_path), 1).commit(
        "select",
        "w",
        [
            Settled(
                "k",
                {"evolutions": evolved, "drops": [Drop("teach", "r", "judgement", "no_checks")]},
            )
        ],
    )
    text = summary(tmp_path)
    assert "No pairs" not in text
    rows = cells(text)
    assert ["rules", "kept", "1", "0.5"] in rows
    assert ["rules", "refused", "1", "0.5"] in rows
    assert ["judgement", "no_checks", "1"] in rows


def test_a_kind_that_teaches_one_verdict_only_is_told(tmp_path: Path) -> None:
    said = [Message("user", "x"), Message("assistant", "y")]
    asked = [
        Prompt(name, name, "f", place, [Check(f"a:{name}", "{}")])
        for place, name in enumerate(("both", "no", "yes"))
    ]
    lessons = [
        SftRefiner(f"{prompt}{number}", said, "judge", label, "response", "rules", prompt, "r")
        for prompt, labels in (("both", ["Yes", "No"]), ("no", ["No"] * 2), ("yes", ["Yes"]))
        for number, label in enumerate(labels)
    ]
    rows = {"prompts": asked, "lessons": lessons, "sft_refiner": lessons[:2]}
    Dataset(str(tmp_path), 1).commit("s", "w", [Settled("k", rows)])
    [warning] = [line for line in summary(tmp_path).splitlines() if "warning" in line]
    assert warning.startswith(
        "warning: the refiner learns no judgement on a:no (0 Yes, 2 No), a:yes (1 Yes, 0 No): "
    )
    Dataset(str(tmp_path), 2).commit(
        "s", "w", [Settled("k", {name: some[:2] for name, some in rows.items()})]
    )
    assert "warning" not in summary(tmp_path, 2)


def test_failures_are_counted_by_cause_and_shown_harmlessly(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "one"}\nbroken\n[]\n{"\\u001b[31m\\u202e[/]": 1}\n')
    assert ingest(Dataset(str(tmp_path / "run"), 1), str(prompts), None).failures == 3
    text = summary(tmp_path / "run")
    rows = cells(text)
    assert [row[:3] for row in rows if row[0] == "prompts"] == [
        ["prompts", "bad_json", "2"],
        ["prompts", "no_prompt", "1"],
    ]
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\\u001b[31m\\u202e[/]" in text


def test_an_engines_message_is_shown_harmlessly(
    tmp_path: Path, prompts: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from aiohttp import web

    def answer(_: Body) -> Answer:
        return web.Response(text="\x1b[2J\u202e[/]", status=404)

    with serving(answer) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 4
    assert not {"\x1b", "\u202e"} & set("".join(capfd.readouterr()))


def test_iterations_are_told_apart(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for iteration, pairs in ((1, 4), (2, 6)):
        rows = [committed.pair(number) for number in range(pairs)]
        committed.commit(run, "pairs", rows, iteration=iteration)
    assert ["pairs", "4"] in cells(summary(run, 1))
    assert ["pairs", "6"] in cells(summary(run, 2))
    assert ["pairs", "4", "6"] in cells(summary(run))


@pytest.mark.parametrize("width", [20, 40])
def test_a_narrow_terminal_is_no_error(finished_run: Path, width: int) -> None:
    assert max(map(len, summary(finished_run, width=width).splitlines())) <= width


def test_one_variant_and_method_are_not_named(finished_run: Path) -> None:
    text = summary(finished_run)
    assert not {"main", "spar", "variant", "method", "made_by"} & set(text.split())
    assert "Variants and methods" not in text


def test_an_evaluations_variant_is_named_by_what_it_has_alone(
    finished_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    held = summary(run)
    variants.evaluate(str(run))
    assert summary(run).startswith(held.rstrip()), "no column more"
    variants.commit(str(run), "judge", {"failures": [Failure("judge", "c", "x", "m", 1, "")]})
    text = summary(run)
    assert text.startswith(held.rstrip())
    assert ["bfs-8-v5", "decode", "too_long", "1", "longer than the context"] in cells(text)


def test_variants_and_methods_are_set_side_by_side(tmp_path: Path) -> None:
    variants.write(str(tmp_path))
    text = summary(tmp_path)
    assert "Variants and methods" in text
    rows = cells(text)
    heads = "iteration 1 dfs spar, iteration 1 main independent, iteration 1 main spar"
    assert ["tokens_per_pair", "570", "220", "3,440", "640"] in rows
    assert ["trees", "2", "", "2", "1"] in rows
    assert all(head in text for head in heads.split(", "))
    assert ["main", "no", "2", "2", "8", "0", "0"] in rows
    assert ["votes3", "no", "4", "0", "12", "0", "0"] in rows
    assert ["dfs", "judge", "main", "", "", "200"] in rows


def test_two_methods_of_one_variant_are_told_apart(tmp_path: Path) -> None:
    pairs = [variants.independent("pa"), variants.refined("pa", "main", 9)]
    variants.commit(str(tmp_path), "pairs", {"pairs": pairs})
    text = summary(tmp_path)
    assert "iteration 1 independent" in text
    assert "iteration 1 spar" in text
    assert "main" not in text
