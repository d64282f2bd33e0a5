"""AutoIF as a job: engines, counts, variants, and that a killed one goes on.

What its tables hold: tests/spar_core/methods/test_autoif.py.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines import refine
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import command, query
from tests.spar_core.methods.test_autoif import TEXTS, says
from tests.spar_core.verification.answers import kind

TABLES = ("responses", "verifiers", "verifications", "relevances", "pairs", "sft_actor")


def script(body: Body) -> Answer:
    """Every prompt has two good functions of four, and answers of which two are accepted."""
    return [*says(body["messages"][-1]["content"], body.get("n", 1))]


class Finished(NamedTuple):
    """A run that is done: what was asked for it by engine, and the tokens that it took."""

    run: Path
    prompts: Path
    asked: dict[str, list[str]]
    spent: tuple[int, int]


def autoif(run: Path, prompts: Path, url: str, *more: str) -> list[str]:
    return command(run, prompts, url, "--method", "autoif", "--functions", "4", *more)


def held(run: Path) -> dict[str, list[str]]:
    return {name: rows for name, rows in rounds.tables(run).items() if name in TABLES}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with a writer of functions of its own; for reading only."""
    place = tmp_path_factory.mktemp("autoif")
    run, prompts = place / "run", rounds.write_prompts(place / "prompts.jsonl", TEXTS)
    with serving(script) as actor, serving(script) as teacher:
        teacher.models = ["teacher"]
        assert refine.main(autoif(run, prompts, actor.url, "--verifier_url", teacher.url)) == 0
        asked = {
            name: [kind(body["messages"][-1]["content"]) for body in server.bodies]
            for name, server in (("actor", actor), ("teacher", teacher))
        }
        prompt_tokens = actor.prompt_tokens + teacher.prompt_tokens
        completion_tokens = actor.completion_tokens + teacher.completion_tokens
    return Finished(run, prompts, asked, (prompt_tokens, completion_tokens))


def test_each_engine_is_asked_its_own_and_all_is_counted(finished: Finished) -> None:
    count = len(TEXTS)
    assert {name: Counter(kinds) for name, kinds in finished.asked.items()} == {
        "actor": {"answer": count},
        "teacher": {
            "write": count,
            "translate": 2 * count,
            "compare": 2 * count,
            "score": 2 * count,
        },
    }
    run, spent = finished.run, finished.spent
    assert query(run, "select distinct model from verifiers") == [("teacher",)]
    assert query(run, "select distinct teacher from sft_actor") == [("teacher",)]
    assert query(run, "from verifier_outcomes") == [
        (1, "main", "teacher", "kept", 2 * count, count, 0.5),
        (1, "main", "teacher", "fails_tests", count, count, 0.25),
        (1, "main", "teacher", "off_format", count, count, 0.25),
    ]
    assert query(
        run, "select pass_rate, count(*) from verifications group by all order by all"
    ) == [
        (0.0, 3 * count),
        (1.0, 2 * count),
    ]
    off = sum(re.search("Prompt [03]:", text) is not None for text in TEXTS)
    scored = "select is_relevant, count(*) from relevances group by all order by all"
    assert query(run, scored) == [(False, off), (True, 2 * count - off)]
    pairs = "select method, count(*), count(distinct pair_id) from pairs group by all"
    assert query(run, pairs) == [("autoif", 4 * count - 2 * off, 4 * count - 2 * off)]
    assert query(run, "select method, count(*) from sft_actor group by all") == [
        ("autoif", 2 * count - off)
    ]
    tokens = "select sum(prompt_tokens), sum(completion_tokens) from {}"
    assert query(run, tokens.format("token_cost")) == [spent]
    each = "select sum(tokens), sum(sample + verifiers + relevance), count(*) from pair_tokens"
    [(tokens_each, summed, number)] = query(run, each)
    assert tokens_each == summed
    assert spent[1] - 3 * number < summed <= spent[1], "pairs of a prompt share its tokens"


def test_nothing_is_done_twice_and_answers_are_shared(
    tmp_path: Path, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished.run, tmp_path / "run")
    pairs = query(run, "from pairs")
    with serving(script) as actor, serving(script) as teacher:
        teacher.models = ["teacher"]
        line = autoif(run, finished.prompts, actor.url, "--verifier_url", teacher.url)
        assert refine.main(line) == 0
        assert actor.bodies == teacher.bodies == [], "nothing is done twice"
        assert "Functions that check answers" in capsys.readouterr().out
        assert refine.main([*line, "--variant", "one", "--verifier_temperature", "0"]) == 0
        assert actor.bodies == [], "the answers are there"
        drawn = {
            (kind(body["messages"][-1]["content"]), body["temperature"]) for body in teacher.bodies
        }
        assert drawn == {("write", 0), ("translate", 0), ("compare", 0), ("score", 0.7)}
    assert query(run, "from pairs where variant = 'main'") == pairs
    assert query(run, "select count(*) from pairs where variant = 'one'") == [(len(pairs),)]
    ids = "select count(*) - count(distinct {0}) from {1}"
    assert query(run, ids.format("verifier_id", "verifiers")) == [(0,)]
    assert query(run, ids.format("pair_id", "pairs")) == [(0,)]


def test_all_stages_in_one_pipeline_make_the_same(tmp_path: Path, finished: Finished) -> None:
    together = tmp_path / "together"
    with serving(script) as actor, serving(script) as teacher:
        teacher.models = ["teacher"]
        line = autoif(together, finished.prompts, actor.url, "--verifier_url", teacher.url)
        assert refine.main([*line, "--together"]) == 0
    assert held(together) == held(finished.run)


@pytest.mark.slow
def test_a_killed_job_goes_on(tmp_path: Path, prompts: Path, begin: Begin) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    with serving(script) as server:
        assert refine.main(autoif(whole, prompts, server.url)) == 0
    gate = Gate(run, script)
    with serving(gate) as gated:
        argv = autoif(run, prompts, gated.url, "--slots", "1")
        for stage in ("sample", "verifiers", "relevance"):
            gate.set(stage, 1)
            process = begin(*argv)
            assert gate.shut.wait(300), process.communicate()
            kill(process)
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    assert held(run) == held(whole)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--functions", "0"),
        ("--sandbox_seconds", "0"),
        ("--sandbox_memory_mb", "none"),
        ("--relevance_scores", "0"),
    ],
)
def test_bad_values_are_told_in_a_line(
    tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
) -> None:
    assert refine.main(autoif(tmp_path / "run", prompts, "http://x:1", *wrong)) == 2
    error = capsys.readouterr().err
    assert wrong[0] in error
    assert error.count("\n") == 1


def test_without_a_sandbox_nothing_is_asked(
    tmp_path: Path,
    prompts: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with serving(script) as server:
        assert refine.main(autoif(tmp_path / "run", prompts, server.url)) == 2
        assert server.bodies == []
    error = capsys.readouterr().err
    assert "needs the package pydantic-monty: pip install '.[code]'" in error
    assert error.count("\n") == 1
