"""Humpback: which texts get an instruction, and which of these pairs are learnt."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.pairs import Message
from spar_core.engine.protocol import ChatRequest, Choice
from spar_core.ids import seed_id
from spar_core.methods.humpback import BACKTRANSLATE, CURATE, STAGES
from spar_core.testing import Answers, Made, run_stage, run_stages
from tests.spar_core.rows import seeds

TIDES = "Tides come twice a day."
KEY = seed_id(TIDES)
PAIR = {"backtranslation_id": f"i1.{KEY}.b", "seed_id": KEY, "instruction": "Explain tides."}


def written(answers: Answers, *texts: str) -> Made:
    return run_stage(BACKTRANSLATE, {"seeds": seeds(*texts or [TIDES])}, answers)


def rated(*scores: str, **options: Any) -> Made:
    texts = [f"Reasons: so.\nScore: {score}" for score in scores]
    tables = {"seeds": seeds(TIDES), "backtranslations": [PAIR]}
    made = run_stage(CURATE, tables, texts, ratings=len(scores), **options)
    assert [request.n for request in made.engines["actor"].requests] == [len(scores)]
    return made


def test_a_text_gets_an_instruction() -> None:
    made = written("Instruction: Explain tides.")
    [row] = made["backtranslations"]
    assert (row.backtranslation_id, row.seed_id) == (f"i1.{KEY}.b", KEY)
    assert (row.instruction, row.model) == ("Explain tides.", "scripted")
    assert row.completion_tokens > 0
    assert made["drops"] == []


def test_a_text_like_an_earlier_one_asks_nothing() -> None:
    like = TIDES.rstrip(".") + "!"
    made = written(["Instruction: x"], TIDES, like)
    [drop] = made["drops"]
    found = (drop.key, drop.what, drop.cause, drop.near)
    assert found == (seed_id(like), "text", "near_duplicate", KEY)
    assert len(made.engines["backward"].requests) == 1


def test_texts_of_another_split_are_not_learnt() -> None:
    made = run_stage(BACKTRANSLATE, {"seeds": seeds(TIDES, split="test")}, "Instruction: x")
    assert made.items["backtranslate"] == []


@pytest.mark.parametrize(
    ("answers", "cause"),
    [("Instruction:", "empty"), ([Choice("Explain ti", "length", 3)], "cut_off")],
)
def test_an_instruction_that_is_none_is_left_out(answers: Answers, cause: str) -> None:
    made = written(answers)
    [drop] = made["drops"]
    assert (drop.stage, drop.what, drop.cause) == ("backtranslate", "instruction", cause)
    assert made["backtranslations"] == []


def test_what_rates_four_and_a_half_is_learnt_with_the_text_as_the_answer() -> None:
    made = rated("5", "4", "5", "4")
    [curation] = made["curations"]
    assert (curation.scores, curation.value, curation.kept) == ([5, 4, 5, 4], 4.5, True)
    [row] = made["sft_actor"]
    assert (row.sft_id, row.method, row.source) == (f"i1.{KEY}.b.humpback", "humpback", "text")
    assert row.messages == [Message("user", "Explain tides."), Message("assistant", TIDES)]
    assert (row.value, row.response_id, row.checked) == (4.5, None, None)


@pytest.mark.parametrize(
    ("scores", "value"),
    [(("5", "4", "4"), 13 / 3), (("5", "none", "none"), None), (("5", "none", "5"), 5.0)],
)
def test_less_is_not_nor_what_too_few_ratings_speak_of(
    scores: tuple[str, ...], value: float | None
) -> None:
    made = rated(*scores)
    [curation] = made["curations"]
    assert curation.value == value
    assert curation.kept is bool(made["sft_actor"]) is (value == 5.0)


def test_a_whole_round_learns_texts_as_answers() -> None:
    essays = ("The tide rises twice a day.", "Prune a rose in spring.", "Bread rises by yeast.")

    def play(request: ChatRequest) -> str:
        said = request.messages[0]["content"]
        if "Choose the grade" in said:
            return f"Reasons: so.\nScore: {3 if 'Bread' in said else 5}"
        return f"Instruction: Say that {said.partition('Text: ')[2][1:20]}."

    made = run_stages(STAGES, {"seeds": seeds(*essays)}, play)
    learnt = {(row.messages[1].content, row.value) for row in made["sft_actor"]}
    assert learnt == {(essays[0], 5.0), (essays[1], 5.0)}
    assert [len(row.scores) for row in made["curations"]] == [3] * 3
