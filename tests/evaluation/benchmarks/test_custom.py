"""Prompts of one's own: their checks mean what they mean in a run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, Scored
from evaluation.benchmarks.custom import CUSTOM
from evaluation.intervals import interval
from schemas.prompts import HELD_OUT, Check, Prompt
from spar_core.checks.strict import LONGEST
from tests import committed

pytestmark = pytest.mark.usefixtures("_library")
NO_COMMA = {"id": "punctuation:no_comma"}


@pytest.fixture
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def found(path: Path, *responses: str) -> list[Scored]:
    assert CUSTOM.check is not None
    return [
        Scored(item, CUSTOM.check(item, response))
        for item, response in zip(CUSTOM.read([path]), responses, strict=True)
    ]


def test_both_ways_to_write_checks_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl",
        {"prompt": "One.", "checks": [NO_COMMA]},
        {"prompt": "Two.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        {"prompt": "Three.", "key": "third", "checks": json.dumps([NO_COMMA])},
    )
    items = list(CUSTOM.read([path]))
    assert [each.key for each in items] == ["mine:1", "mine:2", "third"]
    assert [each.checks for each in items] == [[Check("punctuation:no_comma", "{}")]] * 3
    assert {each.benchmark for each in items} == {"custom"}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"prompt": "x", "checks": [{"id": "punctuation:nocomma"}]}, "did you mean"),
        ({"prompt": "x", "checks": [{"id": "keywords:existence"}]}, "its arguments are keywords"),
        ({"checks": [NO_COMMA]}, "no field `prompt`"),
        ({"prompt": "Two.", "key": "mine:1"}, "its `key` is that of"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused(
    tmp_path: Path, bad: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "mine.jsonl", {"prompt": "One.", "checks": [NO_COMMA]}, bad)
    with pytest.raises(BadData) as raised:
        list(CUSTOM.read([path]))
    assert str(raised.value).startswith(f"{path}:2: ")
    assert said in str(raised.value)
    assert "mend the row or take it out" in str(raised.value)


def test_files_of_prompts_are_read_as_jobs_read_them(tmp_path: Path) -> None:
    """Any column, without checks; equal prompts count as one."""
    (tmp_path / "a.csv").write_text("id,question\n1,One?\n2,Two?\n3, one?\n")
    assert CUSTOM.read_prompts is not None
    items = list(CUSTOM.read_prompts(str(tmp_path), None))
    assert [(each.key, each.prompt, each.checks) for each in items] == [
        ("a:2", "One?", None),
        ("a:3", "Two?", None),
    ]
    assert [each.prompt for each in CUSTOM.read_prompts(str(tmp_path / "a.csv"), "id")] == [*"123"]
    (tmp_path / "all" / "custom").mkdir(parents=True)
    (tmp_path / "all" / "custom" / "b.txt").write_text("Three?\n")
    assert [each.prompt for each in CUSTOM.read_prompts(f"{tmp_path}/all", None)] == ["Three?"]
    with pytest.raises(BadData, match="no column `nope`"):
        list(CUSTOM.read_prompts(str(tmp_path / "a.csv"), "nope"))


def test_a_run_gives_the_prompts_that_it_holds_out(tmp_path: Path, finished_run: Path) -> None:
    assert CUSTOM.read_prompts is not None
    with pytest.raises(BadData, match="holds no prompts out"):
        list(CUSTOM.read_prompts(str(finished_run), None))
    rows = [Prompt("p1", "One.", "f", 0), Prompt("p2", "Two.", "f", 1, split=HELD_OUT)]
    committed.commit(tmp_path / "run", "prompts", rows)
    items = list(CUSTOM.read_prompts(str(tmp_path / "run"), None))
    assert [(each.key, each.prompt) for each in items] == [("p2", "Two.")]


def test_prompts_without_checks_have_no_figures(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"prompt": "a"}, {"prompt": "b", "checks": [NO_COMMA]})
    scored = found(path, "x", "x, y")
    assert scored[0].findings == []
    assert {(each.scored, each.items) for each in CUSTOM.figures(scored)} == {(1, 1)}
    assert CUSTOM.figures(scored[:1]) == []


def test_keywords_stand_for_themselves(tmp_path: Path) -> None:
    asked = {"id": "keywords:existence", "kwargs": {"keywords": ["C++"]}}
    path = write(tmp_path / "x.jsonl", *({"prompt": p, "checks": [asked]} for p in "ab"))
    scored = found(path, "I write C++.", "I write CCC.")
    assert [each.value for one in scored for each in one.findings] == [1.0, 1.0, 0.0, 0.0]


def test_figures_are_those_of_ifeval(tmp_path: Path) -> None:
    capital = {"id": "change_case:english_capital"}
    path = write(
        tmp_path / "x.jsonl",
        {"prompt": "a", "checks": [NO_COMMA]},
        {"prompt": "b", "checks": [NO_COMMA, capital]},
    )
    scored = found(path, "Well,\nno comma", "THIS HAS NO COMMA AND IS WRITTEN IN ENGLISH")
    figures = {(each.metric, each.part): interval(each.units) for each in CUSTOM.figures(scored)}
    got = {key: value.value for key, value in figures.items() if value is not None}
    assert next(iter(got)) == ("average", "")
    assert got["prompt_strict", ""] == 1 / 2
    assert got["prompt_loose", ""] == 1
    assert got["instruction_strict", ""] == 2 / 3
    assert got["average", ""] == pytest.approx((1 / 2 + 1 + 2 / 3 + 1) / 4)
    assert got["instruction_strict", "punctuation:no_comma"] == 1 / 2


def test_what_is_too_long_is_undecided(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"prompt": "a", "checks": [NO_COMMA]})
    [scored] = found(path, "x" * (LONGEST + 1))
    assert {each.value for each in scored.findings} == {None}
    assert "the log says why" in scored.findings[0].critique
    assert {each.scored for each in CUSTOM.figures([scored])} == {0}


def test_a_variant_that_can_be_checked_decides(tmp_path: Path) -> None:
    """The whole is too long to check; without its first line it passes."""
    path = write(tmp_path / "x.jsonl", {"prompt": "a", "checks": [NO_COMMA]})
    [scored] = found(path, "x," * LONGEST + "\nshort")
    assert [each.value for each in scored.findings] == [None, 1.0]


def test_the_benchmark_can_be_sent_to_workers() -> None:
    assert pickle.loads(pickle.dumps(CUSTOM)).name == "custom"
