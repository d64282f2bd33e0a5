"""Engines that fail, through the whole round: errors, nonsense, refusals, and leaked keys."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import refine, sample
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import check, command, failures, query, role, small, story, tables

KEY = "sk-secret-0123456789abcdefghijklmnop"


def plain(text: str | bytes, status: int = 200, **headers: str) -> web.Response:
    body = text.encode() if isinstance(text, str) else text
    return web.Response(body=body, status=status, headers=headers)


def is_about(body: Body, prompt: str) -> bool:
    return prompt in body["messages"][0]["content"]


def test_what_fails_costs_itself_alone_and_is_done_once_the_engine_is_well(
    tmp_path: Path, few: Path, small_run: Path
) -> None:
    run = tmp_path / "run"
    unanswered, unrefined, refused, _ = rounds.SMALL_PROMPTS

    def answer(body: Body) -> Answer:
        if is_about(body, unanswered):
            return plain("out of memory", 500)
        if is_about(body, unrefined) and role(body) == "refine":
            return plain("oops", 500)
        return plain("content policy", 422) if is_about(body, refused) else story(body)

    with serving(answer) as server:
        for turn in (1, 2):
            assert refine.main(small(run, few, server.url)) == 3
            asked = [sum(is_about(body, ill) for body in server.bodies)
                     for ill in (unanswered, refused)]  # fmt: skip
            assert asked == [5 * turn, turn], "a refused request is not sent again in a run"
            found = failures(run, "stage, error, attempts, payload, message")
            assert sorted(found[:-1]) == [
                ("sample", "engine_error", 5, unanswered, "HTTP 500: out of memory"),
                ("sample", "refused", 1, refused, "HTTP 422: content policy"),
            ], "held once, however often they fail"
            assert found[-1][:2] == ("tree_search", "engine_error")
            assert found[-1][3] == unrefined
            assert query(run, "select count(distinct prompt_id) from responses") == [(2,)]
            assert query(run, "select count(*), bool_or(solved) from trees") == [(1, False)]

    with serving(story) as healed:
        assert refine.main(small(run, few, healed.url)) == 0
        ill = (unanswered, unrefined, refused)
        assert all(any(is_about(body, each) for each in ill) for body in healed.bodies)
    check(run, responses=2, depth=2, budget=3)
    assert tables(run) == tables(small_run)


NONSENSE: list[str | bytes] = [
    "",
    "<html>It works!</html>",
    "null",
    "[]",
    '"text"',
    "{}",
    '{"choices": null}',
    '{"choices": []}',
    '{"choices": {}}',
    '{"choices": [{}]}',
    '{"choices": [{"message": null}]}',
    '{"choices": [{"message": {"content": 5}}]}',
    '{"choices": [{"message": {"content": ["a"]}}]}',
    '{"choices": [{"message": {"content": "a"}}], "usage": [1]}',
    '{"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": "many"}}',
    '{"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 1e999}}',
    '{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 1e30}}',
    '{"choices": [{"message": {"content": "a"}, "finish_reason": 7}]}',
    '{"choices": [{"message": {"content": "a"}, "finish_reason": {"type": "stop"}}]}',
    '{"choices": [{"message": {"content": "a"}, "finish_reason": "\\ud800"}]}',
    '{"choices": [{"message": {"content": "cut',
    "[" * 100_000,
    b"\xff\xfe\x00",
]


def test_nonsense_stops_nothing(tmp_path: Path) -> None:
    """Whatever a 200 holds is an answer or a failure of its item; the others are done."""
    ill = {f"Ill {n}.": nonsense for n, nonsense in enumerate(NONSENSE)}
    fine = [f"Fine {n}." for n in range(2 * len(ill))]
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", [*fine, *ill])
    run = tmp_path / "run"

    def answer(body: Body) -> Answer:
        nonsense = ill.get(body["messages"][0]["content"])
        return story(body) if nonsense is None else plain(nonsense)

    with serving(answer) as server:
        assert sample.main(command(run, prompts, server.url)) == 3
    answered = "select distinct prompt from prompts semi join responses using (prompt_id)"
    done = {prompt for (prompt,) in query(run, answered)}
    assert done >= set(fine)
    failed = failures(run, "payload, error, attempts")
    assert {prompt for prompt, *_ in failed} == set(ill) - done
    assert {(error, attempts) for _, error, attempts in failed} == {("engine_error", 5)}
    empty = {prompt for prompt, said in ill.items() if said in ("", "null", "{}", "[" * 100_000)}
    assert empty.isdisjoint(done)


def test_answers_may_hold_any_text(tmp_path: Path) -> None:
    texts = ["", " ", "\x00\x1b[2J", "\ud800 half", "😀 عربي \u202e", "x" * 99_999]
    asked = {f"Prompt {n}.": text for n, text in enumerate(texts)}
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", asked)

    def answer(body: Body) -> Answer:
        text = next(t for prompt, t in asked.items() if is_about(body, prompt))
        if role(body) == "actor":
            return [text] * body["n"]
        if role(body) == "judge":
            return [f"{text}\nFinal Judgement: No"] * body["n"]
        return [f"{text}[[start]]{text}[[end]]"] * body["n"]

    with serving(answer) as server:
        assert refine.main(small(tmp_path / "run", prompts, server.url)) == 0
    answered = "select distinct prompt, response from prompts join responses using (prompt_id)"
    assert dict(query(tmp_path / "run", answered)) == {
        prompt: text.encode("utf-8", "replace").decode().strip() for prompt, text in asked.items()
    }
    solved = "select count(*), bool_or(solved) from trees"
    assert query(tmp_path / "run", solved) == [(len(asked) - 2, False)], "two are empty"


def test_a_flaky_engine_costs_nothing(tmp_path: Path, few: Path, small_run: Path) -> None:
    """20 % of 500s and 20 % of malformed 200s, drawn by the request and its try."""
    tries: dict[bytes, int] = {}
    faults = {500: 0, 200: 0}

    def answer(body: Body) -> Answer:
        asked = json.dumps(body, sort_keys=True).encode()
        tries[asked] = tries.get(asked, 0) + 1
        draw = random.Random(asked + b"%d" % tries[asked]).random()
        if tries[asked] < 5 and draw < 0.4:
            status = 500 if draw < 0.2 else 200
            faults[status] += 1
            return plain("{", status)
        return story(body)

    with serving(answer) as server:
        assert refine.main(small(tmp_path / "run", few, server.url)) == 0
    assert min(faults.values()) > 3
    assert failures(tmp_path / "run") == []
    assert tables(tmp_path / "run") == tables(small_run)


def test_a_busy_engine_is_waited_for(tmp_path: Path, few: Path) -> None:
    seen: dict[str, int] = {}

    def answer(body: Body) -> Answer:
        asked = json.dumps(body)
        seen[asked] = seen.get(asked, 0) + 1
        return plain("busy", 429, **{"Retry-After": "0"}) if seen[asked] < 6 else story(body)

    with serving(answer) as server:
        assert refine.main(small(tmp_path / "run", few, server.url, "--limit", "1")) == 0
    assert set(seen.values()) == {6}, "more often than an error is tried again"
    assert failures(tmp_path / "run") == []


def test_an_engine_that_only_fails_stops_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", map(str, range(300)))
    with serving(lambda _: plain("broken", 500)) as server:
        options = ["--slots", "2"]
        assert sample.main(command(tmp_path / "run", prompts, server.url, *options)) == 4
        assert len(server.bodies) <= (100 + 16) * 5
    error = capsys.readouterr().err
    assert "gone" in error
    assert "run the same command again" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_engine_that_knows_us_not_stops_the_run(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    with serving(lambda _: plain("go away", status)) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 4
    error = capsys.readouterr().err
    assert ("--model" if status == 404 else "OPENAI_API_KEY") in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 2
    assert failures(tmp_path / "run") == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://nowhere.invalid:1", "nonsense", "http://", "ftp://x/y"]
)
def test_no_engine_there_is_said_in_two_lines(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    code = refine.main(command(tmp_path / "run", prompts, url, "--engine_patience", "0.1"))
    error = capsys.readouterr().err
    assert code in (2, 4)
    assert error.startswith("error: ")
    assert url in error
    assert len(error.splitlines()) <= 2


def test_a_silent_engine_runs_out_of_patience(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio

    async def silent() -> Answer:
        await asyncio.sleep(1)
        return ["late"]

    options = ["--engine_timeout", "0.1", "--engine_patience", "0.2", "--model", "loopback"]
    with serving(lambda _: silent()) as server:  # type: ignore[arg-type, return-value]
        assert sample.main(command(tmp_path / "run", prompts, server.url, *options)) == 4
    assert "no answer in time" in capsys.readouterr().err


FAILURES: dict[str, Callable[[str], Answer]] = {
    "500": lambda key: plain(f"bad key {key}", 500),
    "400": lambda key: plain(f"bad key {key}", 400),
    "400 context": lambda key: plain(f"maximum context length for {key}", 400),
    "nonsense": lambda key: plain(f"Bearer {key}"),
    "at the cut": lambda key: plain("x" * 285 + key, 500),
    "in JSON": lambda key: web.json_response({"error": {"headers": f"Bearer {key}"}}, status=500),
}
"""Answers that cost their item alone."""

ENDS: dict[str, Callable[[str], Answer]] = {
    "401": lambda key: plain(key, 401),
    "404": lambda key: plain(key, 404),
    "404 at the cut": lambda key: plain("x" * 285 + key, 404),
    "503": lambda key: plain(key, 503, **{"Retry-After": key}),
}
"""Answers that may end the job."""


@pytest.mark.parametrize("faults", [FAILURES, *({name: fault} for name, fault in ENDS.items())])
def test_the_key_is_written_nowhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    faults: dict[str, Callable[[str], Answer]],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run = tmp_path / "run"
    ill = {f"Ill by {name}.": fault for name, fault in faults.items()}
    fine = [f"Fine {n}." for n in range(2)]
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", [*fine, *ill])

    def answer(body: Body) -> Answer:
        key = server.headers[-1]["Authorization"].removeprefix("Bearer ")
        fault = ill.get(body["messages"][0]["content"])
        return fault(key) if fault else story(body)

    with serving(answer) as server:
        options = ["--engine_patience", "0.2"]
        code = refine.main(small(run, prompts, server.url, *options))
    assert code in ((3,) if faults is FAILURES else (3, 4))
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    if faults is FAILURES:
        assert set(failures(run, "payload")) == set(ill)
    shown = "".join(capfd.readouterr())
    held = b"".join(data for data, _ in rounds.files(run).values())
    told = shown + json.dumps(failures(run, "message, payload")) + held.decode("latin-1")
    assert KEY[:12] not in told
    assert "sk-secret" not in told


def test_a_key_with_a_line_end_is_sent_without_it(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch, server: LoopbackServer
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert sample.main(command(tmp_path / "run", prompts, server.url)) == 0
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
