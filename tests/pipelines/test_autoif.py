"""AutoIF as a job: exact rows, hostile functions, and that a killed one goes on."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import refine
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import command, query
from tests.spar_core.sandbox.hostile import HOSTILE
from tests.spar_core.sandbox.watch import Watch
from tests.spar_core.verification.answers import ALWAYS, CASES, LOWER, UPPER, function, kind

TEXTS = [f"Prompt {n}: small letters only." for n in range(6)]
TABLES = ("responses", "verifiers", "verifications", "pairs", "sft_actor")


def script(body: Body) -> Answer:
    """Every prompt has two good functions of four, and answers of which two are accepted."""
    last, n = body["messages"][-1]["content"], body.get("n", 1)
    asked = kind(last)
    if asked == "write":
        told = [function(code, *CASES) for code in (LOWER, UPPER, LOWER.replace("True.", "It is."))]
        return [*told, "I cannot."][:n]
    if asked == "answer":
        return ["all small", f"Not small {last}", "small, too", "ALL LARGE", "Mixed"][:n]
    return ["Small letters."] if asked == "translate" else ["Relation: entailment"]


def autoif(run: Path, prompts: Path, url: str, *more: str) -> list[str]:
    return command(run, prompts, url, "--method", "autoif", "--functions", "4", *more)


def held(run: Path) -> dict[str, list[str]]:
    return {name: rows for name, rows in rounds.tables(run).items() if name in TABLES}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)


def test_exact_rows(tmp_path: Path, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    with serving(script) as server:
        assert refine.main(autoif(run, prompts, server.url)) == 0
        asked = [kind(body["messages"][-1]["content"]) for body in server.bodies]
        spent = server.prompt_tokens, server.completion_tokens
        server.bodies.clear()
        assert refine.main(autoif(run, prompts, server.url)) == 0
        assert server.bodies == [], "nothing is done twice"
    count = len(TEXTS)
    assert {name: asked.count(name) for name in set(asked)} == {
        "answer": count,
        "write": count,
        "translate": 2 * count,
        "compare": 2 * count,
    }
    assert query(run, "from verifier_outcomes") == [
        (1, "main", "loopback", "kept", 2 * count, count, 0.5),
        (1, "main", "loopback", "fails_tests", count, count, 0.25),
        (1, "main", "loopback", "off_format", count, count, 0.25),
    ]
    assert query(
        run,
        """select verifier_id[-3:], outcome, answered, tests, tests_passed, dropped
        from verifiers where prompt_id = (select prompt_id from prompts where position = 0)
        order by verifier_id""",
    ) == [
        (".v0", "ran", 4, 4, 4, None),
        (".v1", "ran", 4, 4, 2, "fails_tests"),
        (".v2", "ran", 4, 4, 4, None),
        (".v3", None, 0, 0, 0, "off_format"),
    ]
    assert query(
        run,
        "select response_id[-2:], accepted, rejected, undecided, pass_rate, count(*) "
        "from verifications group by all order by 1",
    ) == [
        ("r0", 2, 0, 0, 1.0, count),
        ("r1", 0, 2, 0, 0.0, count),
        ("r2", 2, 0, 0, 1.0, count),
        ("r3", 0, 2, 0, 0.0, count),
        ("r4", 0, 2, 0, 0.0, count),
    ]
    assert query(
        run,
        """select count(*), count(distinct prompt_id) from pairs
        where method = 'autoif' and chosen_value = 1 and rejected_value = 0
        and chosen_response_id[-2:] in ('r0', 'r2')
        and rejected_response_id[-2:] in ('r1', 'r3', 'r4')""",
    ) == [(count, count)]
    assert query(
        run,
        "select messages[2].content, method, count(*) from sft_actor group by all order by all",
    ) == [("all small", "autoif", count), ("small, too", "autoif", count)]
    tokens = "select sum(prompt_tokens), sum(completion_tokens) from {}"
    assert query(run, tokens.format("token_cost")) == [spent]
    each = "select sum(tokens), sum(sample + verifiers) from pair_tokens"
    assert query(run, each) == [(spent[1], spent[1])]
    assert "Functions that check answers" in capsys.readouterr().out


def test_answers_are_shared_and_pairs_are_not_mixed(tmp_path: Path, prompts: Path) -> None:
    run = tmp_path / "run"
    with serving(script) as server:
        assert refine.main(autoif(run, prompts, server.url)) == 0
        pairs = query(run, "from pairs")
        server.bodies.clear()
        line = autoif(run, prompts, server.url, "--variant", "one", "--verifier_temperature", "0")
        assert refine.main(line) == 0
        asked = {kind(body["messages"][-1]["content"]) for body in server.bodies}
    assert "answer" not in asked
    assert query(run, "from pairs where variant = 'main'") == pairs
    assert query(run, "select count(*) from pairs where variant = 'one'") == [(len(pairs),)]
    ids = "select count(*) - count(distinct {0}) from {1}"
    assert query(run, ids.format("verifier_id", "verifiers")) == [(0,)]
    assert query(run, ids.format("pair_id", "pairs")) == [(0,)]


def test_all_stages_in_one_pipeline_make_the_same(tmp_path: Path, prompts: Path) -> None:
    apart, together = tmp_path / "apart", tmp_path / "together"
    with serving(script) as server:
        assert refine.main(autoif(apart, prompts, server.url)) == 0
        assert refine.main(autoif(together, prompts, server.url, "--together")) == 0
    assert held(together) == held(apart)


def test_a_writer_of_its_own_is_asked_for_functions_alone(tmp_path: Path, prompts: Path) -> None:
    run = tmp_path / "run"
    with serving(script) as actor, serving(script) as teacher:
        teacher.models = ["teacher"]
        assert refine.main(autoif(run, prompts, actor.url, "--verifier_url", teacher.url)) == 0
        kinds = [
            {kind(body["messages"][-1]["content"]) for body in server.bodies}
            for server in (actor, teacher)
        ]
    assert kinds == [{"answer"}, {"write", "translate", "compare"}]
    assert query(run, "select distinct model from verifiers") == [("teacher",)]
    assert query(run, "select distinct teacher from sft_actor") == [("teacher",)]


def test_hostile_functions_are_counted_and_the_job_goes_on(tmp_path: Path) -> None:
    """Each of a prompt's own, before the function or within it, beside two honest ones."""
    (tmp_path / "watched").mkdir()
    with (
        contextlib.closing(Watch(tmp_path / "watched")) as watch,
        serving(hostile(watch)) as server,
    ):
        texts = [f"Small letters only, please, no. {n}." for n in range(len(HOSTILE))]
        prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", texts)
        run = tmp_path / "run"
        line = command(run, prompts, server.url, "--method", "autoif", "--functions", "3")
        limits = ["--sandbox_seconds", "0.1", "--sandbox_memory_mb", "32"]
        assert refine.main([*line, *limits]) == 0
        assert watch.seen() == []
    count = len(HOSTILE)
    assert count >= 200
    assert query(run, "from failures") == []
    assert query(
        run,
        "select verifier_id[-2:] in ('v0', 'v1') as honest, dropped is null, count(*) "
        "from verifiers group by all order by all",
    ) == [(False, False, count), (True, True, 2 * count)]
    found = dict(query(run, "select outcome, functions from verifier_outcomes"))
    assert found.keys() >= {"kept", "failed", "limit", "unsupported"}
    assert found["limit"] > 30
    assert found["unsupported"] > 30
    assert query(run, "select count(*), count(distinct prompt_id) from pairs") == [(count, count)]
    assert query(run, "select distinct pass_rate from verifications order by all") == [(0,), (1,)]


def hostile(watch: Watch) -> Callable[[Body], Answer]:
    """Writes two honest functions and one with the hostile program that the prompt names."""

    def play(body: Body) -> Answer:
        last = body["messages"][-1]["content"]
        asked = kind(last)
        if asked == "write":
            number = int(re.findall(r"please, no\. (\d+)\.", last)[0])
            code, _ = HOSTILE[number]
            code = code.replace("FOLDER", str(watch.folder)).replace("PORT", str(watch.port))
            inside = "".join(f"    {each}\n" for each in code.splitlines())
            before = f"{code}\n{ALWAYS}"
            within = f"def evaluate(response):\n{inside}\n    return True\n"
            case = ("small", True)
            return [
                *[function(LOWER, *CASES)] * 2,
                function(before if number % 2 else within, case),
            ]
        if asked == "answer":
            return ["all small", "Not Small"] * 3
        return ["Small letters."] if asked == "translate" else ["Relation: entailment"]

    return play


def test_a_killed_job_goes_on(tmp_path: Path, prompts: Path, begin: Begin) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    with serving(script) as server:
        assert refine.main(autoif(whole, prompts, server.url)) == 0
    gate = Gate(run, script)
    with serving(gate) as gated:
        argv = autoif(run, prompts, gated.url, "--slots", "1")
        for stage in ("sample", "verifiers"):
            gate.set(stage, 1)
            process = begin(*argv)
            assert gate.shut.wait(60), process.communicate()
            kill(process)
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    assert held(run) == held(whole)


@pytest.mark.parametrize(
    "wrong",
    [("--functions", "0"), ("--sandbox_seconds", "0"), ("--sandbox_memory_mb", "none")],
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
    assert "pip install 'pydantic-monty" in error
    assert error.count("\n") == 1
