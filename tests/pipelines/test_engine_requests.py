"""What a command line adds to the requests of a job: headers, and fields of their bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines import refine, sample
from pipelines.execution.options import Job, parse
from pipelines.execution.parts import depends_on, settings_of
from spar_core.engine.access import Header
from spar_core.methods import METHODS
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import role, story

SECRET = "sk-of-azure-0123"
URL = ["--engine_url", "http://localhost:8000", "--model", "m"]
TOP_K = '{"top_k":20}'


def job(*argv: str) -> Job:
    return parse("refine", "", METHODS, ["--run", "nowhere", *URL, *argv])


def claims(*argv: str) -> dict[str, dict[str, object]]:
    """What the stages of a job depend on."""
    made = job(*argv)
    return {each.name: depends_on(made, each, settings_of(made, each)) for each in made.stages}


def bodies(*argv: str) -> list[str]:
    engines = job(*argv).engines
    return [engines[role].body for role in ("actor", "refiner", "judge")]


def test_a_role_has_its_own_body_or_that_of_all() -> None:
    other = '{"min_p":0.1}'
    assert bodies() == ["", "", ""]
    assert bodies("--engine_body", '{"top_k": 20}') == [TOP_K] * 3
    assert bodies("--engine_body", TOP_K, "--judge_body", other) == [TOP_K, TOP_K, other]
    assert bodies("--refiner_body", TOP_K) == ["", TOP_K, TOP_K]
    assert bodies("--refiner_body", TOP_K, "--judge_slots", "3") == ["", TOP_K, TOP_K]
    assert bodies("--refiner_body", TOP_K, "--judge_url", "http://a") == ["", TOP_K, ""]
    assert bodies("--engine_body", TOP_K, "--judge_body", "{}") == [TOP_K, TOP_K, ""]


OFF = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}


def thinking(*argv: str) -> list[dict[str, object]]:
    """The fields that roles add to their requests."""
    engines = job("--engine", "vllm", *argv).engines
    whole = (engines[role].whole_body for role in ("actor", "refiner", "judge"))
    return [json.loads(body) if body else {} for body in whole]


def test_a_role_is_asked_to_think_as_all_are_or_as_it_is_told() -> None:
    low = {"reasoning_effort": "low"}
    assert thinking() == [{}] * 3
    assert thinking("--thinking", "off") == [OFF] * 3
    assert thinking("--thinking", "off", "--judge_thinking", "low") == [OFF, OFF, low]
    assert thinking("--thinking", "off", "--judge_thinking", "default") == [OFF, OFF, {}]
    assert thinking("--refiner_thinking", "low") == [{}, low, low]
    assert thinking("--actor_thinking", "off", "--judge_slots", "3") == [OFF, {}, {}]
    assert thinking("--thinking", "off", "--judge_body", TOP_K)[2] == OFF | {"top_k": 20}
    assert thinking("--thinking", "off", "--judge_url", "http://a")[2] == OFF


def test_thinking_is_a_setting_of_the_run() -> None:
    vllm = ("--engine", "vllm")
    plain, off = claims(*vllm), claims(*vllm, "--thinking", "off")
    assert off["sample"] == plain["sample"] | {"actor.body": json.dumps(OFF, separators=(",", ":"))}
    assert off == claims(*vllm, "--engine_body", json.dumps(OFF))
    judged = claims(*vllm, "--judge_thinking", "off")
    assert judged["sample"] == plain["sample"] and judged["judge"] != plain["judge"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--thinking", "maybe"], "--thinking: 'maybe' is none of off, on,"),
        (["--judge_thinking", "x:off"], "--judge_thinking: 'x' is no server among vllm,"),
        (["--thinking", "off"], "--thinking off for the refiner: which kind of server"),
        (["--judge_thinking", "sglang:512"], "--judge_thinking sglang:512 for the judge: no field"),
        (
            ["--thinking", "ollama:low", "--judge_body", '{"reasoning_effort": "high"}'],
            "--thinking ollama:low for the judge: it sets reasoning_effort, which",
        ),
        (
            ["--engine", "vllm", "--constrained", "on", "--judge_thinking", "on"],
            "a grammar holds the judge to the wire format (--constrained), which leaves no room",
        ),
    ],
)
def test_thinking_that_cannot_be_asked_for_is_one_line(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refine.main(["--run", str(tmp_path / "run"), *URL, *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_a_grammar_goes_with_thinking_that_is_off_or_another_roles() -> None:
    vllm = ("--engine", "vllm", "--constrained", "on")
    for more in (["--thinking", "off"], ["--actor_thinking", "on"]):
        made = job(*vllm, *more)
        assert all(settings_of(made, each) for each in made.stages)


def headers(*argv: str) -> list[tuple[Header, ...]]:
    engines = job(*argv).engines
    return [engines[role].headers for role in ("actor", "refiner", "judge")]


def test_a_role_has_its_own_headers_or_those_of_all() -> None:
    one, other = Header("api-key", "env:ONE"), Header("api-key", "env:OTHER")
    title = Header("X-Title", "mine")
    assert headers() == [(), (), ()]
    general = ["--engine_headers", "api-key=env:ONE", "X-Title=mine"]
    assert headers(*general) == [(one, title)] * 3
    assert headers(*general, "--judge_headers", "api-key=env:OTHER")[1:] == [(one, title), (other,)]
    assert (
        headers("--engine_headers=api-key=env:ONE", "--engine_headers=X-Title=mine")
        == [(one, title)] * 3
    )
    assert headers(*general, "--judge_headers", "api-key=") == [
        *[(one, title)] * 2,
        (Header("api-key", ""),),
    ]


def test_a_body_binds_rows_where_it_changes_answers() -> None:
    plain = claims()
    assert claims("--engine_body", '{"user": "me", "service_tier": "flex"}') == plain
    assert claims("--judge_body", '{"user": "me"}') == plain
    assert claims("--engine_headers", "X-Title=mine") == plain
    assert claims("--judge_headers", "X-Title=mine") == plain
    bound = claims("--engine_body", '{"top_k": 20, "user": "me"}')
    assert bound["sample"] == plain["sample"] | {"actor.body": TOP_K}
    assert bound["judge"] == plain["judge"] | {"refiner.body": TOP_K}
    assert bound["pairs"] == plain["pairs"]
    judged = claims("--judge_body", TOP_K)
    assert judged["sample"] == plain["sample"] and judged["judge"]["judge.body"] == TOP_K


@pytest.mark.parametrize(
    ("option", "said", "message"),
    [
        ("--engine_body", "top_k=20", "no JSON (Expecting value at character 1): write it as"),
        ("--judge_body", "[1]", "a list, and not a JSON object: write it as"),
        ("--engine_body", '{"model": "m"}', "model cannot be set: --model names it"),
        ("--engine_headers", "api-key", "write a header as NAME=VALUE or NAME=env:VARIABLE"),
        ("--judge_headers", f"api-key={SECRET}", "the value of api-key would stand in the"),
    ],
)
def test_what_is_no_good_is_one_line(
    option: str, said: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refine.main(["--run", str(tmp_path / "run"), *URL, option, said]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {option}: {message}") and err.count("\n") == 1
    assert SECRET not in err


def test_requests_of_each_role_carry_what_is_said_of_it(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_KEY", SECRET)
    with serving(story) as server:
        line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
        line += ["--engine_url", server.url, "--limit", "4"]
        line += ["--engine_body", TOP_K, "--judge_body", '{"seed":null,"user":"me"}']
        line += ["--judge_thinking", "openai:low"]
        assert refine.main([*line, "--engine_headers", "api-key=env:AZURE_KEY"]) == 0
        assert {head["api-key"] for head in server.headers} == {SECRET}
        found = {
            (
                *(role(body), body.get("top_k"), "seed" in body, body.get("user")),
                body.get("reasoning_effort"),
            )
            for body in server.bodies
        }
    assert found == {
        ("actor", 20, True, None, None),
        ("refine", 20, True, None, None),
        ("judge", None, False, "me", "low"),
    }
    for data, _ in rounds.files(tmp_path / "run").values():
        assert SECRET.encode() not in data


def test_a_run_goes_on_with_the_body_that_it_was_begun_with(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(*argv: str) -> int:
        line = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
        return sample.main([*line, "--engine_url", server.url, *argv])

    assert done("--limit", "2", "--engine_body", TOP_K) == 0
    capsys.readouterr()
    assert done("--limit", "4") == 5
    assert "actor.body: '{\"top_k\":20}' -> None" in capsys.readouterr().err
    said = json.dumps({"user": "me", "top_k": 20})
    assert done("--limit", "4", "--engine_body", said) == 0


def test_a_variable_that_is_not_set_stops_the_job_in_one_line(
    tmp_path: Path,
    prompts: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_KEY", raising=False)
    line: Sequence[str] = ["--run", str(tmp_path / "run"), "--prompts", str(prompts)]
    line = [*line, "--engine_url", server.url, "--engine_headers", "api-key=env:AZURE_KEY"]
    assert sample.main(line) == 4
    said = "the header api-key has no value: set AZURE_KEY in the environment"
    assert said in capsys.readouterr().err
    assert not server.bodies
