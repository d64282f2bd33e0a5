"""Doing one item of a stage."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from schemas.failures import PAYLOAD_CHARS, Failure
from spar_core.dataset import Settled
from spar_core.engine.protocol import EngineGone, PromptTooLong, RequestRefused
from spar_core.stage import Context, Item, StageSettings
from spar_core.stage_task import settle
from spar_core.stages.sample import SAMPLE

CONTEXT: Context[Any] = Context({}, StageSettings(), 1, "main")
FAILING = (PromptTooLong("no room", 3), RequestRefused("not that"), EngineGone("away"))


async def _task(_: Context[Any], item: Item) -> dict[str, list[Any]]:
    if "raises" in item:
        raise FAILING[item["raises"]]
    return {"responses": [item["prompt"]]}


STAGE = replace(SAMPLE, task=_task)


def settled(**item: Any) -> Settled:
    return asyncio.run(settle(STAGE, CONTEXT, {"key": "k", "prompt": "say it", **item}))


def test_what_a_task_gives_is_settled_under_the_items_key() -> None:
    assert settled() == Settled("k", {"responses": ["say it"]})


def test_an_engine_that_cannot_answer_an_item_makes_a_failure_to_be_tried_again() -> None:
    row = Failure("sample", "k", "too_long", "no room", 3, "say it")
    assert settled(raises=0) == Settled("k", {"failures": [row]}, retry=True)
    row = Failure("sample", "k", "refused", "not that", 1, "x" * PAYLOAD_CHARS)
    assert settled(raises=1, prompt="x" * 9999) == Settled("k", {"failures": [row]}, retry=True)


def test_an_engine_that_is_gone_stops_all() -> None:
    with pytest.raises(EngineGone, match="away"):
        settled(raises=2)
