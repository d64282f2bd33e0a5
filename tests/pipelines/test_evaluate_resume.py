"""Evaluations that are killed, and go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import evaluate
from tests.loopback import serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import commits, query, tables

ITEMS = 90
EACH = 12
SUBSETS = ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual")


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "scipy"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """More than one work file's worth of each benchmark."""
    return write_data(tmp_path / "data", ITEMS, EACH)


def write_data(folder: Path, items: int, each: int) -> Path:
    """Prompts to answer, and outputs to judge."""
    checks = [{"id": "punctuation:no_comma"}]
    rows = [{"prompt": f"Prompt {n}.", "checks": checks} for n in range(items)]
    for name in ("custom", "llmbar"):
        (folder / name).mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "custom" / "items.jsonl").write_text(text)
    for subset in SUBSETS:
        pairs = [
            {
                "input": f"{subset} {n}",
                "output_1": f"{n} q=0.{n % 10}",
                "output_2": f"{n} q=0.{(n + 5) % 10}",
                "label": 1 + n % 2,
            }
            for n in range(each)
        ]
        (folder / "llmbar" / f"{subset}.json").write_text(json.dumps(pairs))
    return folder


def command(run: Path, data: Path, url: str) -> list[str]:
    line = ["--run", str(run), "--benchmark", "custom,llmbar", "--data", str(data)]
    line += ["--decoder", "iterative", "--responses_per_item", "3", "--slots", "2"]
    return [*line, "--engine_url", url]


@pytest.mark.slow
def test_killed_in_decode_and_in_grade_it_ends_as_if_nothing_had_been(
    tmp_path: Path, data: Path, begin: Begin
) -> None:
    with serving(rounds.story) as server:
        assert evaluate.main(command(tmp_path / "whole", data, server.url)) == 0
        whole = len(server.bodies)
    run = tmp_path / "run"
    gate = Gate(run)
    with serving(gate) as server:
        argv = command(run, data, server.url)
        variant = "@iterative-3-v5"
        for stage in ("decode", "grade"):
            gate.set(stage + variant, 2)
            process = begin(*argv, job="pipelines.evaluate")
            assert gate.shut.wait(300), process.communicate()
            kill(process)
            assert commits(run, stage + variant) >= 2
            assert list(run.glob(f"_work/*/{stage}*/*")), "the stage was over"
        gate.open()
        code, _, err = finish(begin(*argv, job="pipelines.evaluate"))
        assert (code, err) == (0, "")
        assert len(server.bodies) <= 1.25 * whole
    assert tables(run) == tables(tmp_path / "whole")
    for table, key in (("items", "item_id"), ("answers", "answer_id")):
        assert not query(run, f"select {key} from {table} group by 1 having count(*) > 1")
    held = query(run, "select distinct benchmark, scored, items from evaluations where part = ''")
    assert sorted(held) == [("custom", ITEMS, ITEMS), ("llmbar", 120, 120)]
