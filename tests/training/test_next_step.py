"""What a training names as the next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.answers import Answer
from schemas.prompts import HELD_OUT, Prompt
from spar_core.dataset import Dataset, Settled
from terminal import trail
from tests import committed
from training import next_step


def record(job: str, data: Path | str, task: str | None = None) -> dict[str, Any]:
    return {"job": job, "task": task, "data": {"source": str(data)}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with pairs and samples of two iterations, and a prompt that it holds out."""
    run = tmp_path / "run"
    held = Prompt("h", "Held out.", "f:1", 0, split=HELD_OUT)
    for iteration in (1, 2):
        rows: dict[str, list[Any]] = {"pairs": [committed.pair(1)], "rft": [committed.sample(1)]}
        rows["prompts"] = [held]
        Dataset(str(run), iteration).commit("some", "w", [Settled("k", rows)])
    return run


def said(record: dict[str, Any]) -> list[str]:
    return next_step.following(record, Path("models/new")).splitlines()


def test_an_actor_is_served_and_evaluated_on_held_out_prompts(run: Path) -> None:
    serve, evaluate = said(record("dpo", run))
    assert serve == "Next: vllm serve models/new --port 8001"
    assert evaluate.startswith("Then: ")
    assert evaluate.endswith(
        f"-m pipelines.evaluate --run {run} --benchmark custom "
        "--engine_url http://localhost:8001 --iteration 2"
    )


def test_an_actor_is_compared_with_the_last_one_that_was_evaluated(run: Path) -> None:
    answer = Answer("a", "h", "custom", "greedy", 0, 1, "said", "m")
    Dataset(str(run), 3).commit("decode", "w", [Settled("k", {"answers": [answer]})])
    assert said(record("dpo", run))[1].endswith("--iteration 4 --against 3 --judge_url URL")


def test_without_a_run_the_prompts_of_an_evaluation_are_files(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}))
    assert "--run runs/eval --benchmark custom --data FILES" in said(record("dpo", file))[1]


def test_a_refiner_is_served_for_the_next_round(run: Path) -> None:
    serve, refine = said(record("rft", run))
    assert serve == "Next: vllm serve models/new --port 8002"
    assert f"pipelines.refine --run {run} --iteration 3 --prompts FILES" in refine
    assert refine.endswith("--refiner_url http://localhost:8002")


def test_first_models_come_one_after_the_other(run: Path) -> None:
    assert said(record("sft", run, "actor")) == ["Next: vllm serve models/new --port 8001"]
    assert "--iteration" not in said(record("sft", run, "refiner"))[1]
    assert said(record("sft", "chats.jsonl")) == ["Next: vllm serve models/new --port 8001"]


def test_a_training_of_another_job_names_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trail.WITHIN, "1")
    assert said(record("dpo", run)) == []
