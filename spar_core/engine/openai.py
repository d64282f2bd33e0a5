"""A client for servers that speak the OpenAI chat protocol, kept lean: aiohttp and json."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import aiohttp

from spar_core.engine.gate import Gate
from spar_core.engine.keys import KEY_VARIABLE, authorization, mending, read_key
from spar_core.engine.meter import Meter
from spar_core.engine.optional_fields import OptionalFields, named
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Choice,
    EngineAway,
    EngineGone,
    ItemError,
    PromptTooLong,
    RequestRefused,
)
from spar_core.engine.refusals import Refusals
from spar_core.engine.sampling_defaults import neutral
from spar_core.engine.served import (
    base_url,
    shown,
    too_long_answers,
)

ATTEMPTS = 5
"""How often a request is sent that the engine fails: errors, nonsense, dropped connections."""

FAILURES_IN_A_ROW = 100
"""So many failed requests with no good answer between them, and the engine counts as gone."""

IN_FLIGHT = 2
"""Sequences that are kept in flight for each slot of an engine."""

_BUSY = {429, 502, 503, 504}
_LONG_WAIT_S = 20.0
_ASKED_WAIT_S = 60.0


class _Fault(Exception):
    """A try that failed and may be repeated.

    busy: the engine is not there or takes no more for now; such tries are repeated for as long as
    patience lasts. silent: no answer came at all. sent: the server may have had the request.
    """

    def __init__(
        self,
        message: str,
        *,
        busy: bool = False,
        silent: bool = False,
        sent: bool = True,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.busy = busy
        self.silent = silent
        self.sent = sent
        self.wait_s = wait_s


@dataclass(slots=True)
class Tries:
    """What befell one request so far, wherever it was sent."""

    sent: int = 0
    hard_faults: int = 0
    busy_since: float | None = None

    def add(self, fault: _Fault) -> None:
        if not fault.busy:
            self.hard_faults += 1
            self.busy_since = None
        elif self.busy_since is None:
            self.busy_since = time.monotonic()

    def are_enough(self, attempts: int, patience_s: float) -> bool:
        """Whether the request is given up: it failed too often, or was put off for too long."""
        kept_waiting = 0.0 if self.busy_since is None else time.monotonic() - self.busy_since
        return self.hard_faults >= attempts or kept_waiting >= 2 * patience_s


class OpenAIEngine:
    """A chat engine behind an URL.

    Args:
        url: the server, with or without `/v1`.
        model: the name it is served by. name: the name that tables show.
        meter: what counts its use; None for one of its own.
        key: where the key is kept (`keys`); the key itself is never written anywhere.
        context: tokens that prompt and answer may have, where the server told it.
        timeout_s: how long to wait for an answer.
        patience_s: how long a server may be away before it counts as gone.
        slots: sequences that the engine decodes at once. Twice as many are kept in flight, since
            the answers to a request end at different times; more wait their turn here.
        attempts: how often a request is sent here that the engine fails.
        server: the kind of server whose own sampling is switched off (`sampling_defaults`); None
            for the kind that the client is for.
    """

    server: ClassVar[str] = ""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        name: str = "",
        meter: Meter | None = None,
        key: str = KEY_VARIABLE,
        timeout_s: float = 600.0,
        patience_s: float = 120.0,
        context: int | None = None,
        slots: int = 256,
        attempts: int = ATTEMPTS,
        server: str | None = None,
    ) -> None:
        self.url = base_url(url)
        self.model = model
        self.name = name or model
        self._meter = meter or Meter()
        self._patience_s = patience_s
        self._context = context
        self._place = key
        self._key = read_key(key)
        self._attempts = attempts
        self._slots = slots
        self._gate = Gate(IN_FLIGHT * slots)
        self._silent_since: float | None = None
        self._failed_in_a_row = 0
        self._refusals = Refusals()
        self._optional = OptionalFields(neutral(self.server if server is None else server))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=timeout_s),
            headers=authorization(self._key),
        )

    def share(self, sharers: int) -> None:
        """Keep in flight what one of so many clients of the server may."""
        self._gate.limit = max(1, IN_FLIGHT * self._slots // sharers)

    async def close(self) -> None:
        await self._session.close()

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """Answer a request, with all the choices that it wants."""
        return await in_full(self.ask, request)

    def _extras(self, request: ChatRequest) -> dict[str, Any]:
        """Fields that only this kind of server knows."""
        return {}

    async def _tokens(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> list[int]:
        """Tokens of each choice, in this protocol known of all together only."""
        total = int(usage.get("completion_tokens") or 0)
        lengths = [max(1, len(choice["message"]["content"])) for choice in choices]
        ends = [round(total * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    async def ask(self, request: ChatRequest, tries: Tries | None = None) -> ChatAnswer:
        """Answer a request with one choice at least.

        Args:
            tries: what befell it elsewhere; what befalls it here is added. Whoever gives it notes
                how long the request takes.

        Raises:
            As `Engine.chat`; EngineAway where the server may come back.
        """
        wanted = request.sampling.max_tokens
        if self._context and wanted >= self._context:
            raise too_long_answers(self.name, self._context, wanted)
        n, is_timed, tries = request.n, tries is None, tries or Tries()
        body = {
            "model": self.model,
            "messages": request.messages,
            "n": n,
            "seed": request.seed,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": request.sampling.max_tokens,
            **({"stop": request.stop} if request.stop else {}),
            **self._extras(request),
        }
        try:
            async with self._gate.passing(n):
                number = self._refusals.send()
                started = self._meter.start(n) if is_timed else 0.0
                try:
                    answer = await self._retried(body, n, tries)
                finally:
                    if is_timed:
                        self._meter.end(n, started)
        except _Fault as fault:
            message = self._redact(str(fault))
            self._failed_in_a_row += 1
            if self._is_gone():
                gone = f"the engine at {shown(self.url)} is gone: {message}"
                raise EngineAway(gone, fault.wait_s) from None
            raise ItemError(message, attempts=max(1, tries.hard_faults)) from None
        except (RequestRefused, PromptTooLong) as refusal:
            if in_a_row := self._refusals.refused(number, refusal.cause):
                raise EngineGone(
                    f"the engine at {shown(self.url)} refuses every request ({in_a_row} in a row): "
                    f"{refusal}"
                ) from None
            raise
        self._failed_in_a_row = 0
        self._refusals.answered()
        return answer

    async def _retried(self, body: dict[str, Any], n: int, tries: Tries) -> ChatAnswer:
        """Send a request until it is answered, without the optional fields that are refused.

        Raises:
            _Fault: of the last try, when the request is given up.
        """
        attempt = 1
        optional, refused = self._optional.sent(), list[str]()
        payload = json.dumps(optional | body).encode()
        while True:
            try:
                answer = await self._post(payload, n, tries)
            except RequestRefused as refusal:
                if not (names := named(refusal.said, optional)):
                    raise
                refused += names
                optional = {name: optional[name] for name in optional if name not in names}
                payload = json.dumps(optional | body).encode()
                continue
            except _Fault as fault:
                if self._is_gone() or tries.are_enough(self._attempts, self._patience_s):
                    raise
                wait_s = backoff_s(fault, attempt)
            else:
                self._learn(refused)
                return answer
            await asyncio.sleep(wait_s)
            attempt += 1

    def _learn(self, refused: list[str]) -> None:
        """Leave optional fields out from now on, and say so once."""
        if refused and (new := self._optional.learn(refused)):
            logging.getLogger(__name__).warning(
                "the engine at %s refuses %s: what it does of its own there stays in force",
                shown(self.url),
                ", ".join(new),
            )

    async def _post(self, payload: bytes, n: int, tries: Tries) -> ChatAnswer:
        is_sent = True
        try:
            answer = await self._try(payload, n)
        except _Fault as fault:
            is_sent = fault.sent
            tries.add(fault)
            if not fault.silent:
                self._silent_since = None
            elif self._silent_since is None:
                self._silent_since = time.monotonic()
            raise
        finally:
            if is_sent:
                self._meter.count(requests=1, retries=int(tries.sent > 0))
                tries.sent += 1
        self._silent_since = None
        return answer

    async def _try(self, payload: bytes, n: int) -> ChatAnswer:
        try:
            async with self._session.post(
                f"{self.url}/v1/chat/completions",
                data=payload,
                headers={"Content-Type": "application/json"},
            ) as response:
                text = await response.read()
                if response.status != 200:
                    self._refuse(response, text)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _Fault(f"cannot connect ({error})", busy=True, silent=True, sent=False) from error
        except TimeoutError as error:
            raise _Fault("no answer in time", silent=True) from error
        except aiohttp.ClientError as error:
            raise _Fault(f"connection lost ({error})") from error
        try:
            return await self._read(_load(text), n)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Fault(f"cannot count tokens ({error})") from error
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise _Fault(
                f"the engine's answer is no chat completion: {self._brief(text)}"
            ) from error

    async def _read(self, plain: Any, n: int) -> ChatAnswer:
        """What a response says; its tokens are counted whether or not it is of use."""
        usage = plain.get("usage") or {}
        prompt_tokens = _token_count(usage.get("prompt_tokens") or 0)
        told = _token_count(usage.get("completion_tokens") or 0)
        self._meter.count(prompt_tokens=prompt_tokens, completion_tokens=told)
        choices = plain["choices"][:n]
        for choice in choices:
            choice["message"]["content"] = _clean(choice["message"].get("content"))
        tokens = await self._tokens(choices, usage)
        read = tuple(
            Choice(
                choice["message"]["content"],
                _clean(choice.get("finish_reason")) or "stop",
                _token_count(count),
            )
            for choice, count in zip(choices, tokens, strict=True)
        )
        if not read:
            raise _Fault("the engine's answer holds no choice")
        self._meter.count(completion_tokens=sum(tokens) - told)
        return ChatAnswer(read, prompt_tokens)

    def _refuse(self, response: aiohttp.ClientResponse, text: bytes) -> None:
        status, message = response.status, f"HTTP {response.status}: {self._brief(text)}"
        if status in (401, 403):
            raise EngineGone(
                f"the engine at {shown(self.url)} refuses the key (HTTP {status}): "
                f"{mending(self._place)}"
            )
        if status == 404:
            raise EngineGone(
                self._redact(
                    f"the engine at {shown(self.url)} has no such page or model ({message}): "
                )
                + "see --engine_url and --model"
            )
        if status in _BUSY:
            raise _Fault(message, busy=True, silent=True, wait_s=_retry_after(response))
        if 400 <= status < 500 and status != 408:
            self._silent_since = None
            if _is_about_context(text):
                raise PromptTooLong(self._redact(message))
            raise RequestRefused(self._redact(message), said=text.decode("utf-8", "replace"))
        raise _Fault(message)

    def _is_gone(self) -> bool:
        silent = self._silent_since
        return self._failed_in_a_row >= FAILURES_IN_A_ROW or (
            silent is not None and time.monotonic() - silent >= self._patience_s
        )

    def _brief(self, text: bytes) -> str:
        return self._redact(text.decode("utf-8", "replace"))[:300].replace("\n", " ")

    def _redact(self, message: str) -> str:
        return message.replace(self._key, "***") if self._key else message


async def in_full(
    ask: Callable[[ChatRequest], Coroutine[Any, Any, ChatAnswer]], request: ChatRequest
) -> ChatAnswer:
    """All the choices of a request; servers that ignore `n` are asked again for what is missing."""
    answer = await ask(request)
    while len(answer.choices) < request.n:
        got = len(answer.choices)
        more = await ask(replace(request, n=request.n - got, seed=request.seed + got))
        answer = ChatAnswer(
            answer.choices + more.choices, answer.prompt_tokens + more.prompt_tokens
        )
    return answer


def backoff_s(fault: _Fault, attempt: int) -> float:
    """Seconds of backoff with jitter; a wait that the server asks for comes first."""
    if fault.wait_s is not None:
        return min(fault.wait_s, _ASKED_WAIT_S)
    return random.uniform(0, min(0.5 * 2 ** min(attempt - 1, 10), _LONG_WAIT_S))


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        seconds = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return seconds if seconds >= 0 else None


def _is_about_context(text: bytes) -> bool:
    said = text.lower()
    return b"context" in said and any(word in said for word in (b"exceed", b"maximum", b"length"))


def _load(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _token_count(count: Any) -> int:
    if not 0 <= count < 1 << 31:
        raise ValueError("no count of tokens")
    return int(count)


def _clean(text: object) -> str:
    """The text as UTF-8 can hold it: models can answer with half a surrogate pair."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
