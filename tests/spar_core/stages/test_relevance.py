"""Relevance: which answers are scored, and which of them are relevant."""

from __future__ import annotations

import pytest

from spar_core.stages.relevance import RELEVANCE
from spar_core.testing import run_stage
from terminal.exits import UsageError
from tests.spar_core.rows import Tables, add, prompts, respond


def accepted(
    tables: Tables, name: str, pass_rate: float | None, prompt: str = "p", text: str | None = None
) -> None:
    """Add a response with the share of the functions that accept it."""
    respond(tables, name, prompt, text)
    row = {"response_id": name, "prompt_id": prompt, "pass_rate": pass_rate, "model": "writer"}
    add(tables, "verifications", **row)


@pytest.fixture
def tables() -> Tables:
    return prompts()


def test_only_answers_that_could_be_chosen_are_asked_about_and_equal_ones_once(
    tables: Tables,
) -> None:
    for name, rate in (("none", 0.0), ("few", 0.4), ("half", 0.5), ("all", 1.0), ("?", None)):
        accepted(tables, name, rate)
    accepted(tables, "same", 1.0, text="text of all\n")
    accepted(tables, "of another", 1.0, "q", text="text of all")
    accepted(tables, "elsewhere", 1.0, "elsewhere")
    made = run_stage(RELEVANCE, tables, "Score: 9")
    assert [row.response_id for row in made["relevances"]] == ["all", "half", "of another"]
    asked = made.engines["verifier"].requests
    assert [each.n for each in asked] == [3, 3, 3]
    assert len({each.seed for each in asked}) == 3
    shown = asked[0].messages[-1]["content"]
    assert "do p" in shown and "text of all" in shown


@pytest.mark.parametrize(
    ("said", "value", "is_relevant"),
    [
        (("9", "8", "10"), 9, True),
        (("8", "8", "8"), 8, False),
        (("8", "9", "8"), 25 / 3, True),
        (("10", "10", "none"), 10, True),
        (("10", "none", "0"), None, False),
        (("1", "2", "1"), 4 / 3, False),
    ],
)
def test_the_mean_of_what_can_be_read_must_be_over_eight(
    tables: Tables, said: tuple[str, ...], value: float | None, is_relevant: bool
) -> None:
    accepted(tables, "a", 1.0)
    made = run_stage(RELEVANCE, tables, [f"So.\nScore: {score}" for score in said])
    [row] = made["relevances"]
    assert (row.value, row.is_relevant) == (value, is_relevant)
    assert row.texts == [f"So.\nScore: {score}" for score in said]
    assert len(row.scores) == 3
    assert (row.response_id, row.prompt_id, row.model) == ("a", "p", "scripted")
    assert row.prompt_tokens > 0
    assert row.completion_tokens > 0


def test_how_often_and_how_is_told_by_options(tables: Tables) -> None:
    accepted(tables, "a", 1.0)
    options = {"relevance_scores": 1, "relevance_temperature": 0.1, "constrained": "on"}
    made = run_stage(RELEVANCE, tables, "Score: 9", **options)
    [asked] = made.engines["verifier"].requests
    assert (asked.n, asked.sampling.temperature) == (1, 0.1)
    assert asked.grammar
    with pytest.raises(UsageError, match="--relevance_scores"):
        run_stage(RELEVANCE, tables, relevance_scores=0)
