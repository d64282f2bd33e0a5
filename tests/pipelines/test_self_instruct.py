"""Prompts that a model writes itself, shown seeds and what it wrote before: whole jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import evolve
from tests.loopback import Answer, Body, serving
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import query, tables
from tests.pipelines.seeds import SEEDS, write_seeds
from tests.pipelines.test_evolve import command, consistent, libraries, one_line

__all__ = ["libraries"]

pytestmark = pytest.mark.usefixtures("libraries")

NAMES = ["otter", "heron", "badger", "lynx", "stork", "weasel", "marten", "osprey"]
MANY = [f"Describe the {one} as a {other} would." for one in NAMES for other in NAMES[:4]]
ARGV = ("--writer", "self_instruct")


def one_more(body: Body) -> Answer:
    """A task about what the first one that was shown is about; copies it where that is a lynx."""
    first = str(body["messages"][0]["content"]).partition("Task 1: ")[2].partition("\n")[0]
    if "the lynx" in first:
        return [f"Task 9: {first}"]
    return [f"Task 9: Write {len(first)} rules of the house for whoever read this: {first}"]


def test_a_prompt_is_written_beside_each_seed_and_copies_are_dropped(tmp_path: Path) -> None:
    run, seeds = tmp_path / "run", write_seeds(tmp_path / "seeds.jsonl", [*SEEDS, *MANY])
    with serving(one_more) as server:
        argv = command(run, seeds, "--engine_url", server.url, *ARGV)
        assert evolve.main(argv) == 0
        asked = len(server.bodies)
        assert evolve.main(argv) == 0
        assert len(server.bodies) == asked
        shown = [str(body["messages"][0]["content"]) for body in server.bodies]
    consistent(run)
    assert sum("Task 8: Write" in text for text in shown) > len(shown) / 2
    copied = "select count(*) from evolutions where seed like '%the lynx%' and dropped is null"
    assert query(run, copied) == [(0,)]
    kept = query(
        run,
        "select p.checks, writer from prompts p join evolutions using (prompt_id)",
    )
    assert {*kept} == {(None, "loopback")}
    assert len(kept) > len(SEEDS)


@pytest.mark.slow
def test_killed_it_goes_on_and_shows_the_same(tmp_path: Path, begin: Begin) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    seeds = write_seeds(tmp_path / "seeds.jsonl", MANY)
    gate = Gate(run, one_more)
    with serving(gate) as server:
        end = ("--engine_url", server.url, *ARGV)
        assert evolve.main(command(whole, seeds, *end)) == 0
        gate.set("evolve", 1)
        process = begin(*command(run, seeds, *end, "--slots", "1"), job="pipelines.evolve")
        assert gate.shut.wait(300), process.communicate()
        kill(process)
        gate.open()
        argv = command(run, seeds, *end)
        code, _, err = finish(begin(*argv, job="pipelines.evolve"))
    assert (code, err) == (0, "")
    assert tables(run) == tables(whole)


def test_it_needs_a_writer_that_is_a_model_and_another_writer_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, seeds = tmp_path / "run", write_seeds(tmp_path / "seeds.jsonl")
    with serving(one_more) as server:
        assert evolve.main(command(run, seeds, "--writer", "rules")) == 0
        capsys.readouterr()
        assert evolve.main(command(run, seeds, "--engine_url", server.url, *ARGV)) == 5
        one_line(capsys, "stage evolve of iteration 1", "was begun with other settings")
        assert server.bodies == []
