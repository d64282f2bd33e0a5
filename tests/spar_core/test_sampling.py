"""Responses of the actor."""

from __future__ import annotations

import asyncio

from schemas import TABLES
from schemas.responses import Response
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.sampling import sample

SAMPLING = Sampling(0.9, 0.9, 2048)


def drawn(iteration: int = 2) -> tuple[list[Response], list[ChatRequest]]:
    engine = ScriptedEngine(lambda request: ["x" * 8 * (i + 1) for i in range(request.n)])
    rows = asyncio.run(
        sample(
            engine,
            "p",
            "hi {there}",
            iteration=iteration,
            variant="main",
            responses=5,
            sampling=SAMPLING,
            seed=3,
        )
    )
    return rows, engine.requests


def test_all_responses_are_one_request() -> None:
    _, requests = drawn()
    message = {"role": "user", "content": "hi {there}"}
    assert requests == [ChatRequest((message,), SAMPLING, n=5, seed=3)]  # type: ignore[arg-type]


def test_rows_are_numbered_and_say_how_they_were_drawn() -> None:
    rows, _ = drawn()
    assert [row.response_id for row in rows] == [f"i2.p.r{i}" for i in range(5)]
    assert [len(row.response) for row in rows] == [8, 16, 24, 32, 40]
    assert {row.model for row in rows} == {"scripted"}
    assert rows[4].sampling.seed == 3 and rows[4].sampling.max_tokens == 2048
    assert TABLES["responses"].to_arrow(rows).num_rows == 5


def test_prompt_tokens_stand_on_the_first_row_alone() -> None:
    rows, _ = drawn()
    assert [row.prompt_tokens for row in rows] == [len("hi {there}") // 4, 0, 0, 0, 0]
    assert [row.completion_tokens for row in rows] == [2, 4, 6, 8, 10]
