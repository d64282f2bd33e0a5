"""Sets of prompts: the validation set apart, all written as what they were evolved to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.reproduction import sets
from schemas.evolutions import Evolution
from schemas.prompts import Check, Prompt
from terminal.exits import InputError
from tests import committed

CHECK = Check("keywords:existence", '{"keywords": ["tea"]}')
COUNT = 40


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with evolved prompts, two iterations of them."""
    for iteration in (1, 2):
        numbers = range(COUNT * (iteration - 1), COUNT * iteration)
        prompts = [
            Prompt(f"p{n}", f"Prompt {n}", "seeds", n, checks=[CHECK], checks_complete=True)
            for n in numbers
        ]
        rows = [
            Evolution(f"e{n}", f"s{n}", f"Seed {n}", "rules", prompt_id=f"p{n}") for n in numbers
        ]
        committed.commit(tmp_path / "run", "prompts", prompts, iteration=iteration)
        committed.commit(tmp_path / "run", "evolutions", rows, iteration=iteration)
    return tmp_path / "run"


def written(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_no_instruction_of_the_validation_set_is_in_another(run: Path, tmp_path: Path) -> None:
    found = {}
    for name, count in (
        ("validation", 10),
        ("validation_unseen", 10),
        ("taught", 40),
        ("unseen", 40),
    ):
        sets.write_set(run, name, count, tmp_path / f"{name}.jsonl")
        found[name] = written(tmp_path / f"{name}.jsonl")
        assert len(found[name]) == count
    prompts = {name: {row["prompt"] for row in rows} for name, rows in found.items()}
    assert prompts["taught"] == prompts["unseen"]
    assert prompts["validation"] == prompts["validation_unseen"]
    assert not prompts["validation"] & prompts["taught"]
    check = {"id": "keywords:existence", "kwargs": {"keywords": ["tea"]}}
    row = found["taught"][0]
    assert (row["checks"], row["checks_complete"]) == ([check], True)


def test_too_few_prompts_are_an_error_that_says_how_many(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^\d+ prompts of the set taught .* 90 are wanted"):
        sets.write_set(run, "taught", 90, tmp_path / "taught.jsonl")
    assert not (tmp_path / "taught.jsonl").exists()


def test_iterations_are_written_in_their_order(run: Path, tmp_path: Path) -> None:
    sets.write_iterations(run, 2, 2, tmp_path / "two.jsonl")
    expected = [f"Prompt {n}" for n in range(COUNT, 2 * COUNT)]
    assert [row["prompt"] for row in written(tmp_path / "two.jsonl")] == expected
    sets.write_iterations(run, 1, 2, tmp_path / "both.jsonl")
    assert len(written(tmp_path / "both.jsonl")) == 2 * COUNT
