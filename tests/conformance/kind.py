"""What is known of a kind of chat server: its address, its refusals, the shape of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.messages import PLAIN
from tests.loopback import Body

Usage = Callable[[int, int], object]
"""What a server tells as the usage of so many tokens of the prompt and the completion."""


@dataclass(frozen=True)
class Refusal:
    """A field that a server refuses.

    said: the body of the refusal. status: its HTTP status. where: in which requests the field is
    refused, as words that follow its name; all where there are none. applies: the same as a test
    of the request, which has the field.
    """

    field: str
    said: object
    status: int = 400
    where: str = ""
    applies: Callable[[Body], bool] = lambda _: True


def plain_usage(prompt: int, completion: int) -> object:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


@dataclass(frozen=True)
class ServerKind:
    """A kind of chat server. Defaults are those of a server that refuses nothing.

    path, query: of the URL that is given as `--engine_url`. key_header: where the key goes; "" for
        a server that wants none.
    model: the name that is asked for. listed: the name in the list of models; "" where the server
        has no such list for us. list_status: the status of the list's page. owner: `owned_by` on
        the model's card.
    refusals: in the order in which the server finds them. renamed: what a field is called there.
    choices: how many choices it gives at most, whatever `n` says; None for as many as `n` says.
    reasoning: the place of the model's reasoning (`messages.MESSAGES`).
    usage: what it tells of tokens.
    doubts: what of this is not established, or is told by users' reports alone.
    busy: status and body that one request gets in place of an answer; sent again, it is answered.
    """

    path: str = "/v1"
    query: str = ""
    key_header: str = ""
    model: str = "m"
    listed: str = "m"
    list_status: int = 200
    owner: str = ""
    refusals: tuple[Refusal, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    choices: int | None = None
    reasoning: str = PLAIN
    usage: Usage = plain_usage
    doubts: str = ""
    busy: tuple[int, object] | None = None

    def refusal_of(self, body: Body) -> Refusal | None:
        """Return how the server refuses a request, None where it takes it."""
        found = (r for r in self.refusals if r.field in body and r.applies(body))
        return next(found, None)

    def fields_taken(self, body: Body) -> set[str]:
        """Return the fields that are left of a request when each refusal of it is heeded."""
        left = dict(body)
        while refusal := self.refusal_of(left):
            value = left.pop(refusal.field)
            if to := self.renamed.get(refusal.field):
                left[to] = value
        return set(left)

    @property
    def refused(self) -> dict[str, Refusal]:
        """The refusals by field, but for names that the client has for a field that is refused."""
        return {r.field: r for r in self.refusals if r.field != "random_seed"}


def above_one(body: Body) -> bool:
    """Whether a request wants several choices."""
    return bool(body["n"] > 1)


def openai_error(message: str, param: str | None = None, **more: Any) -> object:
    """Return the body of an error as OpenAI writes it."""
    error = {"message": message, "type": "invalid_request_error", "param": param}
    return {"error": error | more}
