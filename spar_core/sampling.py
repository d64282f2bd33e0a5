"""Responses of the actor to a prompt."""

from __future__ import annotations

from schemas.responses import Response, SamplingRecord
from spar_core.chat import TextOrChat
from spar_core.conversation import actor_messages
from spar_core.engine.protocol import ChatRequest, Engine, Sampling
from spar_core.engine.reasoning import unanswered
from spar_core.ids import response_id


async def sample(
    engine: Engine,
    prompt_id: str,
    prompt: TextOrChat,
    *,
    iteration: int,
    variant: str,
    responses: int,
    sampling: Sampling,
    seed: int,
) -> list[Response]:
    """Ask for all responses to a prompt in one request.

    Raises:
        CutWhileThinking, AnswerDiscarded: one of the choices holds nothing but reasoning.
    """
    answer = await engine.chat(
        ChatRequest(tuple(actor_messages(prompt)), sampling, n=responses, seed=seed)
    )
    for choice in answer.choices:
        if error := unanswered([choice]):
            raise error
    return [
        Response(
            response_id=response_id(iteration, prompt_id, number, variant),
            prompt_id=prompt_id,
            response=choice.text.strip(),
            model=engine.name,
            sampling=SamplingRecord(
                sampling.temperature, sampling.top_p, sampling.max_tokens, seed
            ),
            finish_reason=choice.finish_reason,
            prompt_tokens=0 if number else answer.prompt_tokens,
            completion_tokens=choice.tokens,
            reasoning=choice.reasoning or None,
        )
        for number, choice in enumerate(answer.choices)
    ]
