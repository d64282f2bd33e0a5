"""All the choices that a request wants, however many a server gives at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from spar_core.engine.protocol import ChatAnswer, ChatRequest, EngineGone
from spar_core.engine.reasoning import unanswered


async def in_full(
    ask: Callable[[ChatRequest], Coroutine[Any, Any, ChatAnswer]], request: ChatRequest
) -> ChatAnswer:
    """All the choices of a request, however many a server gives at once.

    Where it gives one, the others are asked for one by one and all at the same time, with seeds of
    their own: by then the server's prefix cache has the chat. Where it gives some, it is asked
    again for what is missing.

    Choices that hold nothing but reasoning stay where others hold an answer: their texts are empty,
    and nothing is read from them.

    Raises:
        CutWhileThinking, AnswerDiscarded: no choice holds an answer.
    """
    answer = await _all_choices(ask, request)
    if error := unanswered(answer.choices):
        raise error
    return answer


async def _all_choices(
    ask: Callable[[ChatRequest], Coroutine[Any, Any, ChatAnswer]], request: ChatRequest
) -> ChatAnswer:
    answer = await ask(request)
    if len(answer.choices) == 1 < request.n:
        singles = [replace(request, n=1, seed=request.seed + i) for i in range(1, request.n)]
        return _joined([answer, *await _all_of([ask(single) for single in singles])])
    while len(answer.choices) < request.n:
        got = len(answer.choices)
        more = await ask(replace(request, n=request.n - got, seed=request.seed + got))
        answer = _joined([answer, more])
    return answer


def _joined(answers: list[ChatAnswer]) -> ChatAnswer:
    return ChatAnswer(
        tuple(choice for answer in answers for choice in answer.choices),
        sum(answer.prompt_tokens for answer in answers),
    )


async def _all_of(asked: list[Coroutine[Any, Any, ChatAnswer]]) -> list[ChatAnswer]:
    """Wait for all answers, also where some fail: what is paid for is counted.

    Raises:
        EngineGone: one has this error. ItemError: none has, and one has this.
    """
    results = await asyncio.gather(*asked, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, EngineGone)), errors[0])
    return [result for result in results if isinstance(result, ChatAnswer)]
