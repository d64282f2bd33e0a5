"""A round as one pipeline: what comes out is what the stages give one after another."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import judge, refine, sample, tree_search
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import check, command, commits, query, role, small, story, tables

STAGED = ["--together", "off"]
OPTIONS = {
    sample: [*rounds.SMALL[:2], *rounds.SMALL[-2:]],
    judge: [*rounds.SMALL[2:4], *rounds.SMALL[-2:]],
    tree_search: rounds.SMALL[2:],
}
"""Those of `rounds.SMALL` that each job has."""
MANY = [f"Prompt {n}, and an easy one." if n % 9 == 0 else f"Prompt {n}." for n in range(90)]
FEW = [*rounds.PROMPTS, *MANY[:4]]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "prompts.jsonl", [*rounds.PROMPTS, *MANY])


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return rounds.write_prompts(tmp_path / "few.jsonl", FEW)


def staged(tmp_path: Path, prompts: Path, *more: str) -> dict[str, list[str]]:
    """The tables of a run that is done stage by stage."""
    with serving(story) as server:
        argv = command(tmp_path / "staged", prompts, server.url, *more)
        assert refine.main([*argv, *STAGED]) == 0
    return tables(tmp_path / "staged")


Tables = dict[str, list[str]]


@pytest.fixture(scope="module")
def stage_by_stage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tables]:
    """The tables of a run on `FEW` that is done stage by stage, by its options."""

    @cache
    def done(*more: str) -> Tables:
        folder = tmp_path_factory.mktemp("stage_by_stage")
        few = rounds.write_prompts(folder / "few.jsonl", FEW)
        return staged(folder, few, *rounds.SMALL, *more)

    return done


@pytest.mark.parametrize(
    "more",
    [
        [],
        pytest.param(["--judge_once", "--responses", "3"], marks=pytest.mark.slow),
        pytest.param(["--stop_votes", "--strategy", "dfs"], marks=pytest.mark.slow),
    ],
)
def test_rows_are_those_of_the_stages(
    tmp_path: Path,
    few: Path,
    stage_by_stage: Callable[..., Tables],
    more: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with serving(story) as server:
        argv = small(run, few, server.url, *more)
        assert refine.main(argv) == 0
        said = capsys.readouterr().out
        assert f"sample, judge, tree_search, pairs: {len(FEW)} prompts in" in said
        asked = len(server.bodies)
        assert refine.main(argv) == 0
        assert len(server.bodies) == asked
        assert f"pairs: all {len(FEW)} prompts are done" in capsys.readouterr().out
    assert tables(run) == stage_by_stage(*more)
    used = dict(query(run, "select stage, sum(requests) from usage group by all"))
    assert sum(used.values()) == asked
    assert used["sample"] == len(FEW)


@pytest.mark.parametrize(
    "jobs",
    [
        pytest.param([sample], marks=pytest.mark.slow),
        [sample, judge],
        pytest.param([sample, judge, tree_search], marks=pytest.mark.slow),
    ],
)
def test_what_was_begun_stage_by_stage_goes_on_as_one(
    tmp_path: Path,
    few: Path,
    stage_by_stage: Callable[..., Tables],
    jobs: Sequence[object],
) -> None:
    run = tmp_path / "run"
    with serving(story) as server:
        argv = small(run, few, server.url)
        for number, job in enumerate(jobs):
            limit = ["--limit", "10"] if number else []
            given = [*(argv[:6] if job is sample else [*argv[:2], *argv[4:6]]), *OPTIONS[job]]
            assert job.main([*given, *limit]) == 0  # type: ignore[attr-defined]
        before = len(server.bodies)
        assert refine.main(argv) == 0
        assert not [b for b in server.bodies[before:] if role(b) == "actor"]
    assert tables(run) == stage_by_stage()


def test_what_was_begun_as_one_goes_on_stage_by_stage(
    tmp_path: Path, few: Path, stage_by_stage: Callable[..., Tables]
) -> None:
    run = tmp_path / "run"
    with serving(story) as server:
        argv = small(run, few, server.url)
        assert refine.main([*argv, "--limit", "8"]) == 0
        assert refine.main([*argv, *STAGED]) == 0
    assert tables(run) == stage_by_stage()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_anywhere_it_ends_with_everything_done_once(
    tmp_path: Path, prompts: Path, begin: Begin, seed: int
) -> None:
    run, dice = tmp_path / "run", random.Random(seed)
    gate = Gate(run)
    with serving(gate) as server:
        argv = command(run, prompts, server.url, "--slots", "2")
        for stage, enough in (("sample", 1), ("judge", 3), ("tree_search", 6)):
            gate.set(stage, enough)
            process = begin(*argv)
            assert gate.shut.wait(300), process.communicate()
            time.sleep(dice.random() / 5)
            kill(process)
            held = rounds.committed(run)
            assert commits(run, stage) >= enough
        gate.open()
        code, _, err = finish(begin(*argv))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    check(run)
    assert tables(run) == staged(tmp_path, prompts)


def test_a_judgement_that_fails_holds_nothing_else_back(
    tmp_path: Path, few: Path, stage_by_stage: Callable[..., Tables]
) -> None:
    def refusing(body: Body) -> Answer:
        if role(body) == "judge" and "Prompt 7" in body["messages"][0]["content"]:
            return web.json_response({"error": "no"}, status=422)
        return story(body)

    run, other = tmp_path / "run", tmp_path / "other"
    with serving(refusing) as server:
        assert refine.main(small(run, few, server.url)) == 3
        assert refine.main([*small(other, few, server.url), *STAGED]) == 3
    assert tables(run) == tables(other)
    with serving(story) as server:
        assert refine.main(small(run, few, server.url)) == 0
    check(run, responses=2, depth=2, budget=3)
    assert tables(run) == stage_by_stage()
