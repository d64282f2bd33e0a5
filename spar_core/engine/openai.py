"""A client for servers that speak the OpenAI chat protocol, kept lean: aiohttp and json."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import aiohttp

from spar_core.engine.access import Access, Header
from spar_core.engine.completions import (
    ErrorInAnswer,
    before_stop,
    choices_of,
    foreign,
    load,
    usage_of,
    written,
)
from spar_core.engine.connections import fault_of, open_session
from spar_core.engine.endpoints import endpoint_of, shown
from spar_core.engine.error_bodies import read_error
from spar_core.engine.error_replies import ErrorReply, brief, error_of, status_of
from spar_core.engine.faults import Fault, Tries, backoff_s
from spar_core.engine.gate import Gate
from spar_core.engine.keys import KEY_VARIABLE
from spar_core.engine.meter import Meter
from spar_core.engine.protocol import (
    AnswerDiscarded,
    ChatAnswer,
    ChatRequest,
    Choice,
    EngineAway,
    EngineGone,
    ItemError,
    PromptTooLong,
    RequestRefused,
)
from spar_core.engine.reasoning import unanswered
from spar_core.engine.refusals import Refusals
from spar_core.engine.request_fields import Change, RequestFields, blamed
from spar_core.engine.sampling_defaults import neutral
from spar_core.engine.served import too_long_answers
from spar_core.engine.several_choices import in_full
from terminal.log import warn

ATTEMPTS = 5
"""How often a request is sent that the engine fails: errors, nonsense, dropped connections."""

FAILURES_IN_A_ROW = 100
"""So many failed requests with no good answer between them, and the engine counts as gone."""

FOREIGN_ANSWERS = 20
"""So many answers that no API gives before the first good one, and the URL is taken to be wrong."""

IN_FLIGHT = 2
"""Sequences that are kept in flight for each slot of an engine."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it is sent.

    fields: what the payload holds. added: those that the request itself names. n: choices that are
    wanted at most. stop: the texts at which answers are cut here, since the server is not told of
    them.
    """

    fields: Mapping[str, Any]
    added: Mapping[str, Any]
    payload: bytes
    n: int
    stop: tuple[str, ...]


class OpenAIEngine:
    """A chat engine behind an URL.

    Args:
        url: the server (`endpoints`).
        model: the name it is served by. name: the name that tables show.
        meter: what counts its use; None for one of its own.
        key, headers: what lets us in (`access`); the values themselves are never written anywhere.
        context: tokens that prompt and answer may have, where the server told it.
        timeout_s: how long to wait for an answer.
        patience_s: how long a server may be away before it counts as gone.
        slots: sequences that the engine decodes at once. Twice as many are kept in flight, since
            the answers to a request end at different times; more wait their turn here.
        attempts: how often a request is sent here that the engine fails.
        server: the kind of server whose own sampling is switched off (`sampling_defaults`); None
            for the kind that the client is for.
        tells: whether it logs what the server refuses; a client that only tries the server leaves
            that to the one that does the work.
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
        headers: tuple[Header, ...] = (),
        timeout_s: float = 600.0,
        patience_s: float = 120.0,
        context: int | None = None,
        slots: int = 256,
        attempts: int = ATTEMPTS,
        server: str | None = None,
        tells: bool = True,
    ) -> None:
        self._endpoint = endpoint_of(url)
        self.url = self._endpoint.url
        self.model = model
        self.name = name or model
        self._meter = meter or Meter()
        self._patience_s = patience_s
        self._context = context
        self._access = Access(key, headers)
        self._secrets = self._access.secrets()
        self._attempts = attempts
        self._tells = tells
        self._slots = slots
        self._gate = Gate(IN_FLIGHT * slots)
        self._silent_since: float | None = None
        self._failed_in_a_row = 0
        self._refusals = Refusals()
        self._foreign_answers = 0
        self._has_answered = False
        self._fields = RequestFields(neutral(self.server if server is None else server))
        self._session = open_session(
            self.url,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=timeout_s),
            headers=self._access.read(),
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

    async def _tokens(self, choices: list[dict[str, Any]], total: int) -> list[int]:
        """Return the tokens of each choice. This protocol tells those of all together."""
        lengths = [max(1, len(written(choice))) for choice in choices]
        ends = [round(total * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    async def ask(self, request: ChatRequest, tries: Tries | None = None) -> ChatAnswer:
        """Answer a request with one choice at least, all of which may hold nothing but reasoning.

        Args:
            tries: what befell it elsewhere; what befalls it here is added. Whoever gives it notes
                how long the request takes.

        Raises:
            As `Engine.chat`; EngineAway where the server may come back.
        """
        wanted = request.sampling.max_tokens
        if self._context and wanted >= self._context:
            raise too_long_answers(self.name, self._context, wanted)
        body = {
            "model": self.model,
            "messages": request.messages,
            **({"n": request.n} if request.n > 1 else {}),
            "seed": request.seed,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": request.sampling.max_tokens,
            **({"stop": request.stop} if request.stop else {}),
            **self._extras(request),
        }
        n = request.n if request.n == 1 or self._fields.takes_n(body) else 1
        is_timed, tries = tries is None, tries or Tries()
        try:
            async with self._gate.passing(n):
                number = self._refusals.send()
                started = self._meter.start(n) if is_timed else 0.0
                try:
                    answer = await self._retried(body, request.body, tries)
                finally:
                    if is_timed:
                        self._meter.end(n, started)
        except Fault as fault:
            message = self._redact(str(fault))
            self._failed_in_a_row += 1
            if self._is_gone():
                gone = f"the engine at {shown(self.url)} is gone: {message}"
                raise EngineAway(gone, fault.wait_s) from None
            raise ItemError(message, attempts=max(1, tries.hard_faults)) from None
        except (RequestRefused, PromptTooLong, AnswerDiscarded) as refusal:
            self._note_refusal(number, refusal)
            raise
        self._failed_in_a_row = 0
        self._has_answered = True
        if error := unanswered(answer.choices):
            self._note_refusal(number, error)
        else:
            self._refusals.answered()
        return answer

    def _note_refusal(self, number: int, refusal: ItemError) -> None:
        """Count a request that was sent and has no answer.

        Raises:
            EngineGone: too many have none, one right after another.
        """
        if in_a_row := self._refusals.refused(number, refusal.cause):
            raise EngineGone(
                f"the engine at {shown(self.url)} refuses every request ({in_a_row} in a row): "
                f"{refusal}"
            ) from None

    def _call(
        self, body: Mapping[str, Any], added: Mapping[str, Any], changes: list[Change]
    ) -> Call:
        """The request as this server takes it, as far as that is known."""
        fields = self._fields.shaped(body, changes, added)
        own = body.get("stop", ())
        stop = () if fields.get("stop") == own else own
        return Call(fields, added, json.dumps(fields).encode(), fields.get("n", 1), stop)

    async def _retried(
        self, body: Mapping[str, Any], added: Mapping[str, Any], tries: Tries
    ) -> ChatAnswer:
        """Send a request until it is answered, without the fields that are refused.

        Raises:
            Fault: of the last try, when the request is given up.
        """
        attempt = 1
        changes: list[Change] = []
        call = self._call(body, added, changes)
        while True:
            try:
                answer = await self._post(call, tries)
            except RequestRefused as refusal:
                error = read_error(refusal.said)
                sent = {n: value for n, value in call.fields.items() if n not in added}
                if not (more := self._fields.remedies(error, sent, body, changes)):
                    raise blamed(refusal, error.named(added)) from None
                changes += more
                call = self._call(body, added, changes)
                continue
            except AnswerDiscarded:
                self._has_answered = True
                self._learn(changes)
                raise
            except Fault as fault:
                if self._is_gone() or tries.are_enough(self._attempts, self._patience_s):
                    raise
                wait_s = backoff_s(fault, attempt)
            else:
                self._learn(changes)
                return answer
            await asyncio.sleep(wait_s)
            attempt += 1

    def _learn(self, changes: list[Change]) -> None:
        """Change these fields from now on, and say so once."""
        remarks = self._fields.learn(changes) if changes else []
        for remark in remarks if self._tells else ():
            warn(__name__, f"the engine at {shown(self.url)} {remark}")

    async def _post(self, call: Call, tries: Tries) -> ChatAnswer:
        is_sent = True
        try:
            answer = await self._try(call)
        except Fault as fault:
            is_sent = fault.sent
            tries.add(fault)
            if not fault.silent:
                self._silent_since = None
            elif self._silent_since is None:
                self._silent_since = time.monotonic()
            raise
        except ItemError:
            self._silent_since = None
            raise
        finally:
            if is_sent:
                self._meter.count(requests=1, retries=int(tries.sent > 0))
                tries.sent += 1
        self._silent_since = None
        return answer

    async def _try(self, call: Call) -> ChatAnswer:
        try:
            async with self._session.post(
                self._endpoint.chat,
                data=call.payload,
                headers={"Content-Type": "application/json"},
            ) as response:
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise fault_of(error, self.url) from error
        if response.status != 200:
            raise self._error(response.status, response.headers, text, call)
        try:
            return await self._read(load(text), call)
        except ErrorInAnswer as inside:
            raise self._error_inside(inside.error, response.headers, text, call) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Fault(f"cannot count tokens ({error})") from error
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            if kind := foreign(text):
                self._note_foreign(kind, text)
            raise Fault(
                f"the engine's answer is no chat completion: {self._brief(text)}"
            ) from error

    async def _read(self, plain: Any, call: Call) -> ChatAnswer:
        """What a response says; its tokens are counted whether or not it is of use."""
        told = usage_of(plain)
        self._meter.count(prompt_tokens=told.prompt, completion_tokens=told.completion)
        choices = choices_of(plain, call.n)
        tokens = await self._tokens(choices, told.completion)
        reasoning = told.reasoning if len(choices) == 1 else 0
        read = tuple(
            _choice(choice, _token_count(count), reasoning, call.stop)
            for choice, count in zip(choices, tokens, strict=True)
        )
        self._meter.count(completion_tokens=sum(tokens) - told.completion)
        return ChatAnswer(read, told.prompt)

    def _error(self, status: int, headers: Mapping[str, str], text: bytes, call: Call) -> Exception:
        clean_text = self._redact(text.decode("utf-8", "replace"))
        return error_of(
            ErrorReply(status, headers, clean_text, self._has_answered),
            endpoint=self._endpoint,
            model=self.model,
            access=self._access,
            fields=self._fields,
            sent={name: each for name, each in call.fields.items() if name not in call.added},
        )

    def _error_inside(
        self, error: object, headers: Mapping[str, str], text: bytes, call: Call
    ) -> Exception:
        """What to raise for an error that comes with status 200."""
        if status := status_of(error):
            return self._error(status, headers, json.dumps({"error": error}).encode(), call)
        self._note_foreign("an error in place of an answer", text)
        return Fault(f"the engine's answer is an error: {self._brief(text)}")

    def _note_foreign(self, kind: str, text: bytes) -> None:
        """Count an answer that no API gives to a good request.

        Raises:
            EngineGone: nothing else came, ever.
        """
        if self._has_answered:
            return
        self._foreign_answers += 1
        if self._foreign_answers >= FOREIGN_ANSWERS:
            raise EngineGone(
                f"the engine at {shown(self.url)} answers with {kind} ({self._brief(text)}), and "
                "never with a chat completion: its URL is probably not that of an API, see "
                "--engine_url"
            )

    def _is_gone(self) -> bool:
        silent = self._silent_since
        return self._failed_in_a_row >= FAILURES_IN_A_ROW or (
            silent is not None and time.monotonic() - silent >= self._patience_s
        )

    def _brief(self, text: bytes) -> str:
        return brief(self._redact(text.decode("utf-8", "replace")))

    def _redact(self, message: str) -> str:
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return message


def _choice(
    choice: Mapping[str, Any], tokens: int, reasoning_tokens: int, stop: tuple[str, ...]
) -> Choice:
    text, reason = choice["message"]["content"], choice["finish_reason"]
    if stop and (kept := before_stop(text, stop)) is not None:
        text, reason = kept, "stop"
    return Choice(text, reason, tokens, choice["message"]["reasoning"], reasoning_tokens)


def _token_count(count: Any) -> int:
    if not 0 <= count < 1 << 31:
        raise ValueError("no count of tokens")
    return int(count)
