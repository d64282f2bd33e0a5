"""Humpback: which texts get an instruction, and which of these pairs are learnt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.pairs import Message
from spar_core.engine.protocol import ChatAnswer, ChatRequest, Choice, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.methods.humpback import BACKTRANSLATE, CURATE, BacktranslateSettings
from spar_core.stage import Context
from spar_core.stages.rate import RateSettings

DRAWN = Sampling(0.7, 0.9, 64)
TEXT = {"key": "s1", "text": "Tides come twice a day.", "near": None}
PAIR = {
    "key": "i1.s1.b",
    "seed_id": "s1",
    "instruction": "Explain tides.",
    "text": "Tides come twice a day.",
}


class Cut(ScriptedEngine):
    """Its answers do not end."""

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        answer = await super().chat(request)
        choices = tuple(Choice(each.text, "length", each.tokens) for each in answer.choices)
        return ChatAnswer(choices, answer.prompt_tokens)


def written(engine: ScriptedEngine, item: dict[str, Any] = TEXT) -> dict[str, Sequence[Any]]:
    context = Context({"backward": engine}, BacktranslateSettings(write=DRAWN), 1, "main")
    return dict(asyncio.run(BACKTRANSLATE.task(context, item)))


def rated(*scores: str) -> dict[str, Sequence[Any]]:
    engine = ScriptedEngine(lambda _: [f"Reasons: so.\nScore: {score}" for score in scores])
    settings = RateSettings(rate=DRAWN, ratings=len(scores), rubric="one")
    rows = dict(asyncio.run(CURATE.task(Context({"actor": engine}, settings, 1, "main"), PAIR)))
    assert [request.n for request in engine.requests] == [len(scores)]
    return rows


def test_a_text_gets_an_instruction() -> None:
    engine = ScriptedEngine(lambda _: ["Instruction: Explain tides."])
    (row,) = written(engine)["backtranslations"]
    assert (row.backtranslation_id, row.seed_id) == ("i1.s1.b", "s1")
    assert (row.instruction, row.model) == ("Explain tides.", "scripted")
    assert row.completion_tokens > 0


def test_a_text_like_an_earlier_one_asks_nothing() -> None:
    engine = ScriptedEngine(lambda _: ["x"])
    (drop,) = written(engine, TEXT | {"near": "s0"})["drops"]
    assert (drop.key, drop.what, drop.cause, drop.near) == ("s1", "text", "near_duplicate", "s0")
    assert engine.requests == []


@pytest.mark.parametrize(
    ("engine", "cause"),
    [
        (ScriptedEngine(lambda _: ["Instruction:"]), "empty"),
        (Cut(lambda _: ["Explain ti"]), "cut_off"),
    ],
)
def test_an_instruction_that_is_none_is_left_out(engine: ScriptedEngine, cause: str) -> None:
    (drop,) = written(engine)["drops"]
    assert (drop.stage, drop.what, drop.cause) == ("backtranslate", "instruction", cause)


def test_what_rates_four_and_a_half_is_learnt_with_the_text_as_the_answer() -> None:
    rows = rated("5", "4", "5", "4")
    (curation,) = rows["curations"]
    assert (curation.scores, curation.value, curation.kept) == ([5, 4, 5, 4], 4.5, True)
    (row,) = rows["sft_actor"]
    assert (row.sft_id, row.method, row.source) == ("i1.s1.b.humpback", "humpback", "text")
    assert row.messages == [
        Message("user", "Explain tides."),
        Message("assistant", "Tides come twice a day."),
    ]
    assert (row.value, row.response_id, row.checked) == (4.5, None, None)


@pytest.mark.parametrize(
    ("scores", "value"),
    [(("5", "4", "4"), 13 / 3), (("5", "none", "none"), None), (("5", "none", "5"), 5.0)],
)
def test_less_is_not_nor_what_too_few_ratings_speak_of(
    scores: tuple[str, ...], value: float | None
) -> None:
    rows = rated(*scores)
    (curation,) = rows["curations"]
    assert curation.value == value
    assert curation.kept is ("sft_actor" in rows) is (value == 5.0)
