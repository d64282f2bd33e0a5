"""A server on loopback that refuses and answers as a kind of server does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.conformance.kind import ServerKind
from tests.conformance.messages import message
from tests.loopback import Body, LoopbackServer, serving

THOUGHT = "It may be good.\nFinal Judgement: Yes\nOr it is not.\nFinal Judgement: No"
"""What models think that show it; read as an answer it would mislead."""

Script = Callable[[Body, int], str]
"""The text of a choice of a chat, by its number among the choices of that chat."""


class ScriptedServer:
    """Answers chats as a kind of server does.

    Choices of one chat are counted over its requests, so that a client that asks for them one by
    one gets the texts that another gets at once.

    answered: the requests that were answered with choices. refused: how often each field was
    refused. was_busy: whether a request was left without an answer, as the kind has it.
    """

    def __init__(self, kind: ServerKind, script: Script) -> None:
        self._kind = kind
        self._script = script
        self._given: Counter[str] = Counter()
        self.was_busy = False
        self.answered: list[Body] = []
        self.refused: Counter[str] = Counter()

    def __call__(self, body: Body) -> web.Response:
        if refusal := self._kind.refusal_of(body):
            self.refused[refusal.field] += 1
            return web.json_response(refusal.said, status=refusal.status)
        if self._kind.busy and self.answered and not self.was_busy:
            self.was_busy = True
            status, said = self._kind.busy
            return web.json_response(said, status=status)
        self.answered.append(body)
        chat = json.dumps(body["messages"])
        number = min(body["n"], self._kind.choices or body["n"])
        first = self._given[chat]
        self._given[chat] += number
        return self._completion([self._script(body, first + i) for i in range(number)])

    def _completion(self, texts: list[str]) -> web.Response:
        kind = self._kind
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", **message(kind.reasoning, THOUGHT, text)},
                "finish_reason": "stop",
            }
            for index, text in enumerate(texts)
        ]
        usage = kind.usage(10, 40 * len(texts))
        return web.json_response({"choices": choices, "usage": usage})


@contextmanager
def serving_kind(
    kind: ServerKind, script: Script
) -> Iterator[tuple[LoopbackServer, ScriptedServer]]:
    """Run a server of a kind for the time of the body: where it is, and what it was asked."""
    scripted = ScriptedServer(kind, script)
    with serving(scripted, base=kind.path) as server:
        server.models = [kind.listed]
        server.list_status = kind.list_status
        server.owner = kind.owner
        yield server, scripted


def url_of(server: LoopbackServer, kind: ServerKind) -> str:
    """Return what is given as `--engine_url`."""
    return f"{server.url}{kind.path}{kind.query}"
