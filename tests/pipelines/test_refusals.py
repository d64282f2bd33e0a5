"""Servers that refuse what they are asked: the run stops, or the items are tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from pipelines import refine
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query, role, story

TEXTS = [f"Prompt {n}: one line, please." for n in range(60)]


def refusal(why: str) -> web.Response:
    return web.json_response({"error": {"message": why}}, status=400)


def test_a_server_that_refuses_everything_stops_the_run_and_poisons_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)

    with serving(lambda _: refusal("no chats today")) as server:
        assert refine.main(command(run, prompts, server.url)) == 4
        assert "no chats today" in capsys.readouterr().err
    with serving(story) as server:
        assert refine.main(command(run, prompts, server.url)) == 0
    rounds.check(run)
    assert query(run, "select count(distinct prompt_id) from responses") == [(len(TEXTS),)]


def test_a_server_that_knows_no_n_gives_all_choices_one_by_one(tmp_path: Path) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS[:4])

    def knows_no_n(body: Body) -> Answer:
        return refusal("n must be 1 here") if body["n"] > 1 else story(body)

    with serving(knows_no_n) as server:
        assert refine.main(command(run, prompts, server.url)) == 0
    rounds.check(run)
    assert query(run, "select count(*) from responses") == [(4 * 5,)]


def test_a_few_refused_items_fail_and_are_tried_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    strict = [True]

    def picky(body: Body) -> Answer:
        if strict[0] and role(body) == "actor" and " 7:" in body["messages"][0]["content"]:
            return refusal("no sevens")
        return story(body)

    with serving(picky) as server:
        line = command(run, prompts, server.url)
        assert refine.main(line) == 3
        assert failures(run) == ["refused"]
        asked = len(server.bodies)
        assert refine.main(line) == 3
        assert len(server.bodies) == asked + 1, "that item alone is tried again"
        strict[0] = False
        assert refine.main(line) == 0
    assert not failures(run)
    rounds.check(run)
