"""The account of engine use is the server's own count, whatever went wrong."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import refine
from spar_core.dataset import Dataset
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, query, story

UNREAD = 2
"""Requests that may have been sent, and given up before the server read them, as a job stopped."""


def account(run: Path) -> tuple[int, int, int]:
    """Requests and tokens, as the run has them."""
    sums = "sum(requests)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint"
    [row] = query(run, f"select {sums} from usage")
    return row  # type: ignore[return-value]


def counted(server: LoopbackServer) -> tuple[int, int, int]:
    return len(server.bodies), server.prompt_tokens, server.completion_tokens


def test_of_a_plain_run(tmp_path: Path, prompts: Path, server: LoopbackServer) -> None:
    assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
    assert account(tmp_path / "run") == counted(server)
    assert query(tmp_path / "run", "select sum(retries) from usage") == [(0,)]


def test_with_faults_and_repeated_requests(tmp_path: Path, prompts: Path) -> None:
    seeds: set[int] = set()

    def faulty(body: Body) -> Answer:
        is_first = body["seed"] not in seeds
        seeds.add(body["seed"])
        return web.Response(status=500) if is_first and body["seed"] % 3 == 0 else story(body)

    with serving(faulty) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
        assert account(tmp_path / "run") == counted(server)
    failed = sum(seed % 3 == 0 for seed in seeds)
    assert failed > 10
    assert query(tmp_path / "run", "select sum(retries) from usage") == [(failed,)]


def test_of_a_server_that_knows_no_n_and_fails_in_between(tmp_path: Path, prompts: Path) -> None:
    def one_by_one(body: Body) -> Answer:
        is_single = body["n"] == 1 and body["seed"] % 2 == 0  # of four in a row, two
        if "hopeless" in body["messages"][0]["content"] and is_single:
            return web.json_response({"error": "no"}, status=422)
        answer = story(body)
        assert isinstance(answer, list)
        return answer[:1]

    with serving(one_by_one) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 3
        assert account(tmp_path / "run") == counted(server)


def test_where_a_commit_fails(
    tmp_path: Path, prompts: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few at a time: all that is in flight as the disk is full is a small part of what was asked.
    line = command(tmp_path / "run", prompts, server.url, "--slots", "2", "--together", "off")
    create, numbers = Dataset.create, count()

    def full(self: Dataset, path: str, data: bytes) -> bool:
        if "/judge/" in path and next(numbers) == 2:
            raise OSError(28, "No space left on device")
        return create(self, path, data)

    monkeypatch.setattr(Dataset, "create", full)
    assert refine.main(line) == 4
    assert refine.main(line) == 0
    rounds.check(tmp_path / "run")
    spent, known = counted(server), account(tmp_path / "run")
    assert all(0.8 * s <= k for s, k in zip(spent, known, strict=True)), (
        "what was in flight as the disk was full is known to nobody"
    )
    assert all(k <= s for s, k in zip(spent[1:], known[1:], strict=True))
    assert known[0] <= spent[0] + UNREAD


def test_where_the_engine_goes_away_between_items(tmp_path: Path, prompts: Path) -> None:
    run, numbers = tmp_path / "run", count()

    def going(body: Body) -> Answer:
        return web.Response(status=401) if next(numbers) >= 30 else story(body)

    with serving(going) as first:
        line = command(run, prompts, first.url, "--slots", "1")
        assert refine.main(line) == 4
        held = account(run)
        assert 0 <= held[0] - len(first.bodies) <= UNREAD
        assert held[1:] == counted(first)[1:]
