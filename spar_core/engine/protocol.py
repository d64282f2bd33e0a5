"""What an engine is: something that takes a chat and gives n answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from schemas.finish_reasons import NOT_WHOLE


class Message(TypedDict):
    """A turn of a chat: role `user`, `assistant` or `system`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn."""

    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """n answers to one chat.

    seed: answer i is drawn with a stream of its own, derived from it.
    grammar: GBNF that the answers must match; engines that cannot constrain output ignore it.
    stop: an answer ends before the first of these texts.
    body: fields that a user adds to what is sent, None as a value takes one out (`request_body`).
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    n: int = 1
    seed: int = 0
    grammar: str | None = None
    stop: tuple[str, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its text, why it ended (`stop`, `length`, ...), and its tokens.

    reasoning: what the model thought before the text, which is without it; "" for nothing.
    reasoning_tokens: those of the tokens that went into it, 0 where the server does not tell.
    """

    text: str
    finish_reason: str
    tokens: int
    reasoning: str = ""
    reasoning_tokens: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether something else than the model ended it: a limit, or a filter of the server."""
        return self.finish_reason in NOT_WHOLE

    @property
    def has_only_reasoning(self) -> bool:
        """Whether the model thought and gave no answer: it was cut, or ended, before one."""
        has_thought = bool(self.reasoning or (self.reasoning_tokens and self.is_cut))
        return has_thought and not self.text.strip()


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The n answers to a request; prompt tokens are counted once for all of them."""

    choices: tuple[Choice, ...]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)


class Engine(Protocol):
    """Answers chats. Many calls run at once on one event loop.

    name: the model's name, as tables show it.
    """

    name: str

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Answer a request.

        Raises:
            ItemError: this request cannot be answered; others can.
            EngineGone: no request can be answered any more.
        """
        ...


class ItemError(Exception):
    """A request that could not be answered.

    cause: one word for the `error` column of failures. attempts: how often it was sent.
    retry: whether another run might have more luck.
    """

    cause = "engine_error"
    retry = True

    def __init__(self, message: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts


class PromptTooLong(ItemError):
    """The chat and its answer do not fit in the model's context.

    Another run may give the model a longer one, or ask for shorter answers.
    """

    cause = "too_long"


class RequestRefused(ItemError):
    """The engine refuses the request itself (a 4xx status); this run does not send it again.

    The next may find a server that is better set up.

    said: all that the engine answered, where it may name a field that it does not take; "" where
    the chat itself is refused.
    """

    cause = "refused"

    def __init__(self, message: str, attempts: int = 1, said: str = "") -> None:
        super().__init__(message, attempts)
        self.said = said


class AnswerDiscarded(ItemError):
    """An answer came and is not to be kept: a filter of the server ended it, or it holds no text.

    This run does not ask again; the next one does.
    """

    cause = "discarded"


class CutWhileThinking(AnswerDiscarded):
    """The limit of tokens ended all choices of an answer before any of them got past its reasoning.

    Another run may give the model more room.
    """

    cause = "cut_thinking"


class EngineGone(Exception):
    """The engine answers nobody; the run must stop and can go on later."""


class EngineAway(EngineGone):
    """A server answers nobody for now and may come back; another one of the model can do its work.

    wait_s: when it wants to be asked again, where it said so.
    """

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def seed_of(*parts: object) -> int:
    """A seed (31 bits) that depends on all the parts and on nothing else."""
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
