"""A whole round ends on every kind of server as it ends on one that refuses nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines import refine
from schemas.views import connect
from spar_core.engine.sampling_defaults import kind_of, neutral
from tests.conformance.kind import ServerKind
from tests.conformance.kinds import KINDS
from tests.conformance.messages import PLAIN
from tests.conformance.scripted_server import THOUGHT, serving_kind, url_of
from tests.loopback import Body
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query, role, story

PROMPTS = [*rounds.PROMPTS[:2], "An easy one.", "A hopeless one."]
CHOICES = {"actor": 2, "judge": 3, "refine": 2}
OPTIONS = (
    *("--responses", "2", "--votes", "3", "--branch", "2", "--depth", "2"),
    *("--judge_temperature", "0"),
)
"""Few choices, so that those that follow the first of a chat come in one order."""

HELLO = [{"role": "user", "content": "Say hello."}]
"""The short chat with which a server is tried that lists no models."""

KEY = "a-key-of-nobody"
RESULTS = {
    "responses": "response_id, response, completion_tokens",
    "judgements": "response_id, verdict, yes_votes, no_votes, unparsed_votes, critique",
    "nodes": "node_id, parent_id, response, value",
    "trees": "tree_id, solved, chosen_node_id, refinements",
    "pairs": "pair_id, chosen, rejected, chosen_value",
    "rft": "rft_id",
}
"""The columns that must be equal, by table."""

_TOLD = re.compile(r" refuses ([\w, ]+?)(?: [\d.]+)?(?: at temperature 0)?: | in place of (\w+)")


@dataclass(frozen=True)
class Ended:
    """A round that ended with exit code 0.

    answered: the requests that were answered, without those of a first look at the server.
    """

    run: Path
    answered: list[Body]

    def results(self) -> dict[str, list[tuple[Any, ...]]]:
        with connect(str(self.run), tuple(RESULTS)) as connection:
            return {
                table: sorted(connection.sql(f"select {columns} from {table}").fetchall(), key=repr)
                for table, columns in RESULTS.items()
            }


def text(body: Body, number: int) -> str:
    """What the model says, by the number of the choice alone."""
    told = story(body | {"n": CHOICES[role(body)]})
    assert isinstance(told, list)
    return told[number]


def played(kind: ServerKind, run: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Run a whole round on a server of a kind; the key must come with each request."""
    prompts = rounds.write_prompts(run.parent / f"{run.name}.jsonl", PROMPTS)
    headers = []
    if kind.key_header == "Authorization":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elif kind.key_header:
        monkeypatch.setenv("CONFORMANCE_KEY", KEY)
        headers = ["--engine_headers", f"{kind.key_header}=env:CONFORMANCE_KEY"]
    with serving_kind(kind, text) as (server, scripted):
        line = command(run, prompts, url_of(server, kind), "--model", kind.model)
        assert refine.main([*line, *OPTIONS, *headers]) == 0
        assert {*server.paths} == {f"{kind.path}/chat/completions{kind.query}"}
        if kind.key_header:
            sent = {each.get(kind.key_header) for each in server.headers}
            assert sent <= {KEY, f"Bearer {KEY}"} and len(sent) == 1
        assert scripted.was_busy is bool(kind.busy)
        work = [body for body in scripted.answered if body["messages"] != HELLO]
        return Ended(run, work)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A round on a server that refuses nothing; for reading only."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        ended = played(ServerKind(), tmp_path_factory.mktemp("plain") / "run", monkeypatch)
    assert all(ended.results().values()), "every table has rows to compare"
    return ended


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_round_ends_as_on_a_server_that_refuses_nothing(
    kind: ServerKind,
    plain: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = played(kind, tmp_path / "run", monkeypatch)
    assert not failures(ended.run)
    assert ended.results() == plain.results()
    own = dict(neutral(kind_of(kind.owner)))
    asked = {role(body): own | body for body in plain.answered}
    for body in ended.answered:
        assert {*body} - {"n"} == kind.fields_taken(asked[role(body)]) - {"n"}
    dropped = {name for body in asked.values() for name in {*body} - kind.fields_taken(body)}
    assert len({*caplog.messages}) == len(caplog.messages), "each change is told once"
    assert told(caplog.messages) == dropped
    if not kind.choices and "n" not in dropped:
        assert len(ended.answered) == len(plain.answered), "all choices come at once"
    reasoning = query(ended.run, "select distinct reasoning from responses")
    assert reasoning == [(None if kind.reasoning == PLAIN else THOUGHT,)]


def told(remarks: list[str]) -> set[str]:
    """Return the fields that the client says it changes."""
    found = [(left_out or renamed) for each in remarks for left_out, renamed in _TOLD.findall(each)]
    return {name for names in found for name in names.split(", ")}
