"""SELF: which answers are refined, and what is learnt of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.pairs import Message
from spar_core.decoding import SearchSettings
from spar_core.engine.protocol import Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.methods.self_refine import SELF
from spar_core.stage import Context
from spar_core.stages.tree_search import TreeSearchSettings
from spar_core.voting import JudgeSettings
from tests.spar_core.decoding.scripts import MALFORMED, asked, told

SETTINGS = TreeSearchSettings(
    search=SearchSettings(
        JudgeSettings(Sampling(0.7, 1.0, 64)),
        Sampling(0.7, 1.0, 64),
        strategy="iterative",
        budget=1,
    )
)
FAILING = {
    "key": "p.no",
    "response_id": "i1.p.r2",
    "prompt_id": "p",
    "prompt": "say it",
    "checks": None,
    "response": "bad",
    "verdict": "no",
    "value": 0.2,
    "critique": "it is bad",
    "votes": [{"vote": "No", "text": "it is bad", "finish_reason": "stop"}] * 5,
    "checked": None,
}
PASSING = FAILING | {"key": "p.yes", "verdict": "yes", "value": 0.8, "checked": True}


def rows(engine: ScriptedEngine, item: dict[str, Any]) -> dict[str, Sequence[Any]]:
    context = Context({"refiner": engine, "judge": engine}, SETTINGS, 1, "main")
    return dict(asyncio.run(SELF.task(context, item)))


def test_an_answer_that_fails_is_refined_once_and_learnt_if_it_then_passes() -> None:
    engine = told(refined={"bad": ["good"]}, yes={"good": 4})
    (row,) = rows(engine, FAILING)["sft_actor"]
    assert asked(engine) == [("refiner", 1), ("judge", 5)]
    assert engine.requests[0].messages[1]["content"] == "it is bad", "its own feedback"
    assert (row.sft_id, row.method, row.source) == ("i1.p.r2.self", "self", "repair")
    assert row.messages == [Message("user", "say it"), Message("assistant", "good")]
    assert (row.prompt_id, row.response_id, row.value) == ("p", "i1.p.r2", 0.8)
    assert (row.teacher, row.checked) == ("scripted", None)


def test_an_answer_that_passed_is_learnt_as_it_is_and_nothing_is_asked() -> None:
    engine = told()
    (row,) = rows(engine, PASSING | {"response": "fine"})["sft_actor"]
    assert (row.source, row.messages[1].content, row.value) == ("response", "fine", 0.8)
    assert row.checked is True
    assert engine.requests == []


@pytest.mark.parametrize(
    ("refined", "yes", "cause"),
    [
        (["worse"], 2, "does_not_pass"),
        ([MALFORMED] * 3, 0, "off_format"),
        (["bad"], 5, "unchanged"),
    ],
)
def test_what_is_not_learnt_says_why(refined: list[str], yes: int, cause: str) -> None:
    engine = told(refined={"bad": refined}, yes={refined[0]: yes})
    found = rows(engine, FAILING)
    (drop,) = found.pop("drops")
    assert not found
    assert (drop.stage, drop.key, drop.what, drop.cause) == (
        *("self", "i1.p.r2", "refinement", cause),
    )


def test_a_program_has_its_say_of_what_was_mended() -> None:
    checks = [{"id": "change_case:english_lowercase", "kwargs": "{}"}]
    engine = told(refined={"bad": ["Good"]}, yes={"Good": 5})
    (row,) = rows(engine, FAILING | {"checks": checks, "checked": True})["sft_actor"]
    assert row.checked is False
