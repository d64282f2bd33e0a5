"""Iterations for real, with what `make demo` installs and TRL: llama.cpp serves what TRL made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spar_core.engine.bundled import bundled_model
from spar_core.engine.gguf import read_header
from spar_core.engine.spec import EngineSpec, identity
from tests.pipelines.rounds import query, start

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SMALL = [
    *("--iterations", "2", "--limit", "3", "--responses", "2", "--checks", "decide"),
    *("--branch", "2", "--stop_level", "--actor_max_tokens", "64", "--refine_max_tokens", "128"),
    *("--constrained", "on", "--prompts", "pipelines/demo/prompts.jsonl"),
]
TRAINING = (
    "--max_steps 1 --learning_rate 1e-4 --warmup_steps 0 --max_length 768 --save_strategy no "
    "--per_device_train_batch_size 1 --gradient_accumulation_steps 1 --use_peft --use_cpu"
)


@pytest.mark.timeout(1200)
def test_llama_cpp_serves_what_the_iteration_before_made(tmp_path: Path) -> None:
    run, models = tmp_path / "run", tmp_path / "run" / "models"
    trainings = ["--dpo_args", TRAINING, "--rft_args", TRAINING]
    argv = ["--run", str(run), "--engine", "llamacpp", *SMALL, *trainings]
    process = start(*argv, job="pipelines.iterate")
    out, err = process.communicate(timeout=1100)
    assert process.returncode == 0, out + err
    made = {role: models / f"{role}-2.gguf" for role in ("actor", "refiner")}
    served = {"actor": "sample", "refiner": "tree_search"}
    for role, stage in served.items():
        settings = run / "_manifest" / "iteration=2" / f"{stage}.settings"
        asked = json.loads(settings.read_text())
        model = identity(EngineSpec("llamacpp", str(made[role])))
        assert {name: asked[f"{role}.{name}"] for name in model} == model
        assert read_header(made[role]).tensors == read_header(bundled_model()).tensors
    assert query(run, "select distinct model from responses where iteration = 2") == [
        ("actor-2.gguf",)
    ]
    assert query(run, "select count(*) > 0 from pairs where iteration = 1") == [(True,)]
    assert (models / "actor-3.gguf").is_file() and "What each iteration brought" in out
