"""Settings bind from the first committed item on, and what is wrong before that can be mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from pipelines import judge, refine, sample
from tests.loopback import Answer, Body, LoopbackServer, free_port, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, failures, query, role, story


def test_a_mistyped_model_binds_nothing(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = command(tmp_path / "run", prompts, server.url)
    assert refine.main([*line, "--model", "lopback"]) == 4
    said = capsys.readouterr().err
    assert "lopback" in said and "loopback" in said
    assert not server.bodies
    assert sample.main([*line, "--model", "loopback"]) == 0


@pytest.mark.parametrize("owner", ["", "vllm"])
def test_sampling_that_the_server_keeps_to_itself_is_said_before_any_work(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    owner: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.owner = owner
    line = command(tmp_path / "run", prompts, server.url, "--limit", "1")
    assert refine.main(line) == 0
    said = capsys.readouterr()
    assert not said.err
    assert said.out.count(f"note: the engine at {server.url} is not told to be") == (not owner)
    assert all(("top_k" in body) == bool(owner) for body in server.bodies)
    assert refine.main(line) == 0
    assert "note:" not in capsys.readouterr().out, "no engine is asked"


def test_a_model_file_that_is_not_there_binds_nothing(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
    assert refine.main([*run, "--engine", "llamacpp", "--model", str(tmp_path / "no.gguf")]) == 4
    assert sample.main([*run, "--engine_url", server.url]) == 0


def test_a_server_that_goes_before_anything_is_committed_binds_nothing(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
    with serving(lambda _: web.json_response({}, status=401)) as refusing:
        assert refine.main([*line, "--engine_url", refusing.url, "--responses", "7"]) == 4
    assert sample.main([*line, "--engine_url", server.url]) == 0
    assert query(tmp_path / "run", "select count(*) from responses") == [(60,)]


def test_settings_bind_from_the_first_item_on(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = command(tmp_path / "run", prompts, server.url)
    assert sample.main([*line, "--limit", "1"]) == 0
    assert sample.main([*line, "--responses", "2"]) == 5
    assert "responses: 5 -> 2" in capsys.readouterr().err


def test_a_name_that_the_server_would_say_binds_the_same(
    copied_run: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--run", str(copied_run), "--engine_url", server.url]
    assert judge.main([*at, "--judge_model", "loopback"]) == 0
    assert "judge: all 60 responses are done" in capsys.readouterr().out


def test_engine_that_no_stage_asks_need_not_be_there(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    assert sample.main(command(tmp_path / "run", prompts, server.url)) == 0
    away = f"http://127.0.0.1:{free_port()}"
    at = ["--run", str(tmp_path / "run"), "--refiner_url", away, "--judge_url", server.url]
    assert judge.main(at) == 0
    assert query(tmp_path / "run", "select count(*) from judgements") == [(60,)]


def limited(body: Body) -> Answer:
    """A server whose context holds 1,000 tokens of judgement."""
    is_long = role(body) == "judge" and "long" in body["messages"][0]["content"]
    if is_long and body["max_tokens"] > 1000:
        said = {"error": {"message": "maximum context length is 1000 tokens"}}
        return web.json_response(said, status=400)
    return story(body)


def test_what_was_too_long_is_mended_by_the_advice(tmp_path: Path) -> None:
    run = tmp_path / "run"
    texts = [*rounds.PROMPTS, "Something long."]
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", texts)
    with serving(limited) as server:
        line = command(run, prompts, server.url)
        assert refine.main(line) == 3
        assert set(failures(run)) == {"too_long"}
        held = query(run, "select count(*) from judgements")[0][0]
        assert held == 5 * len(rounds.PROMPTS)
        judged = sum(role(body) == "judge" for body in server.bodies)
        assert judge.main(["--run", str(run), "--engine_url", server.url]) == 3, "tried again"
        assert sum(role(body) == "judge" for body in server.bodies) == judged + 5
        assert refine.main([*line, "--judge_max_tokens", "900"]) == 0
    assert not failures(run)
    rounds.check(run)
