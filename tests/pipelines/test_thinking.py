"""Rounds on servers whose models think before they answer, or are cut while they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pipelines import judge, refine, sample
from schemas.responses import Response, SamplingRecord
from tests.committed import commit
from tests.conformance.messages import MESSAGES
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query, role, story

THOUGHTS = {
    "actor": "one, two, many: q=0.5",
    "judge": "It may be good.\nFinal Judgement: Yes\nOr it is not.\nFinal Judgement: No",
    "refine": "Final Refined Output: [[start]] only thought of q=1.0 [[end]]",
}
"""What the model thinks, by who is asked; read as an answer it would mislead."""

FORMS = tuple(MESSAGES.values())


def reply(*messages: dict[str, Any], reason: str = "stop") -> web.Response:
    choices = [{"message": message, "finish_reason": reason} for message in messages]
    usage = {"prompt_tokens": 10, "completion_tokens": 40 * len(choices)}
    return web.json_response({"choices": choices, "usage": usage})


def thinking(body: Body) -> Answer:
    """The story of other rounds, told by a model that thinks; each choice in another form."""
    texts = story(body)
    assert isinstance(texts, list)
    thought = THOUGHTS[role(body)]
    return reply(*(FORMS[i % len(FORMS)](thought, text) for i, text in enumerate(texts)))


def plain(run: Path, table: str) -> list[tuple[Any, ...]]:
    """The rows of a table without reasoning, also that of votes, tokens and the input's path."""
    columns = (
        "columns(lambda c: c <> 'source' and not contains(c, 'reasoning') "
        "and not contains(c, 'tokens'))"
    )
    if table in ("judgements", "nodes"):
        votes = "list_transform(votes, lambda v: [v.vote, v.text, v.finish_reason]) as votes"
        source = f"select * replace ({votes}) from {table}"
    else:
        source = f"from {table}"
    return sorted(query(run, f"select {columns} from ({source})"), key=repr)


def test_a_round_of_a_model_that_thinks_is_that_of_its_answers(
    tmp_path: Path, few: Path, small_run: Path
) -> None:
    runs = [tmp_path / "thinking", small_run]
    with serving(thinking) as server:
        assert refine.main(rounds.small(runs[0], few, server.url)) == 0
    for table in rounds.IDS:
        held = plain(runs[0], table)
        assert held and held == plain(runs[1], table), table
    thought = {
        reasoning for (reasoning,) in query(runs[0], "select distinct reasoning from responses")
    }
    assert thought == {THOUGHTS["actor"]}
    assert query(runs[1], "select distinct reasoning from responses") == [(None,)]
    for table in ("judgements", "nodes", "pairs", "rft"):
        for row in plain(runs[0], table):
            assert "think>" not in repr(row) and "only thought of" not in repr(row)


def test_what_was_thought_before_votes_and_refinements_reaches_the_samples(
    tmp_path: Path, few: Path
) -> None:
    run = tmp_path / "run"
    with serving(thinking) as server:
        assert refine.main(rounds.small(run, few, server.url)) == 0
    judged, refined = (THOUGHTS["judge"],), (THOUGHTS["refine"],)
    for table in ("judgements", "nodes"):
        votes = f"select unnest(votes, recursive := true) from {table}"
        assert query(run, f"select distinct reasoning from ({votes})") == [judged]
    assert query(run, "select distinct reasoning from nodes where depth > 0") == [refined]
    assert query(run, "select count(*) from nodes where depth = 0 and reasoning <> ''") == [(0,)]
    by_task = "select distinct task, reasoning from rft order by 1"
    assert query(run, by_task) == [("judge", *judged), ("refine", *refined)]
    assert query(run, "select distinct chosen_reasoning from pairs") == [(None,)]


def test_votes_and_checks_are_of_what_was_said_after_the_thinking(tmp_path: Path) -> None:
    """Votes with a thought in every form, on checked answers, and some cut while thinking."""
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")

    def answer(body: Body) -> Answer:
        asked = body["messages"][0]["content"]
        if role(body) == "actor":
            if "checked" in asked:
                return reply({"content": "<think>a, b</think>none"}, {"content": "a, b"})
            return reply(*[{"content": "<think>a, b</think>none"}] * 2)
        if "checked" in asked:
            return reply(*[{"content": "Final Judgement: Yes"}] * body["n"])
        if "cut" in asked:
            yes = {"content": "<think>hm</think>Final Judgement: Yes"}
            cut = {"content": "<think>Final Judgement: No\nor"}
            choices = [{"message": yes, "finish_reason": "stop"}] * 3
            choices += [{"message": cut, "finish_reason": "length"}] * 2
            return web.json_response({"choices": choices[: body["n"]]})
        thought = "Judgement: Yes, surely.\nFinal Judgement: Yes"
        messages = [form(thought, "Final Judgement: No") for form in FORMS]
        return reply(*messages[: body["n"]])

    run, prompts = tmp_path / "run", tmp_path / "prompts.jsonl"
    asked: list[dict[str, Any]] = [
        {"prompt": "Say checked.", "checks": [{"id": "punctuation:no_comma"}]},
        {"prompt": "Say cut."},
        {"prompt": "Say none."},
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in asked))
    with serving(answer) as server:
        assert sample.main(command(run, prompts, server.url, "--responses", "2")) == 0
        assert judge.main(["--run", str(run), "--engine_url", server.url]) == 0

    def found(columns: str, prompt: str) -> list[tuple[Any, ...]]:
        both = "judgements join responses using (response_id)"
        joined = f"{both} join prompts on prompts.prompt_id = responses.prompt_id"
        return sorted(query(run, f"select {columns} from {joined} where prompt = '{prompt}'"))

    none = ("no", 5, "Final Judgement: No", "none", "a, b")
    assert found("verdict, no_votes, critique, response, reasoning", "Say none.") == [none] * 2
    assert found("response, checked, outcome", "Say checked.") == [
        ("a, b", False, "no"),
        ("none", True, "yes"),
    ]
    columns = "verdict, value, yes_votes, no_votes, unparsed_votes"
    assert found(columns, "Say cut.") == [("yes", 1.0, 3, 0, 2)] * 2


def test_what_was_cut_while_thinking_is_mended_by_a_larger_limit(tmp_path: Path) -> None:
    def answer(body: Body) -> Answer:
        if "Prompt 0" in body["messages"][0]["content"] and body["max_tokens"] < 4096:
            return reply(*[{"content": "<think>one, two"}] * body["n"], reason="length")
        return thinking(body)

    run = tmp_path / "run"
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", rounds.PROMPTS[:2])
    with serving(answer) as server:
        line = command(run, prompts, server.url)
        assert sample.main(line) == 3
        [(error, message)] = failures(run, "error, message")
        assert error == "cut_thinking" and "--actor_max_tokens" in message
        assert query(run, "select count(*), count(nullif(response, '')) from responses") == [(5, 5)]
        assert sample.main([*line, "--actor_max_tokens", "4096"]) == 0
    assert not failures(run)
    assert query(run, "select count(*), count(nullif(response, '')) from responses") == [(10, 10)]


def test_a_run_from_before_has_no_reasoning(tmp_path: Path) -> None:
    drawn = SamplingRecord(0.9, 0.9, 8, 1)
    early = [Response("i1.a.r0", "a", "yes", "m", drawn, "stop", 1, 1)]
    run = commit(tmp_path, "responses", early, without=["reasoning"])
    assert query(run, "select response, reasoning from responses") == [("yes", None)]
