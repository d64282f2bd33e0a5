"""Iterations for real, with what `make demo` installs and TRL: llama.cpp serves what TRL made."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from pipelines.iterate_options import bundled
from spar_core.engine.bundled import bundled_model
from spar_core.engine.gguf import read_header
from spar_core.engine.llamacpp import LlamaCppServer
from tests.pipelines.rounds import query, start

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SMALL = [
    *("--iterations", "1", "--limit", "2", "--responses", "1", "--checks", "decide"),
    *("--branch", "2", "--stop_level", "--actor_max_tokens", "64", "--refine_max_tokens", "128"),
    *("--constrained", "on", "--prompts", "pipelines/demo/prompts.jsonl"),
]
TRAINING = (
    "--max_steps 1 --learning_rate 1e-4 --warmup_steps 0 --max_length 768 --save_strategy no "
    "--per_device_train_batch_size 1 --gradient_accumulation_steps 1 --use_peft --use_cpu"
)


@pytest.mark.timeout(1200)
def test_what_an_iteration_trains_is_a_model_that_llama_cpp_serves(tmp_path: Path) -> None:
    run, models = tmp_path / "run", tmp_path / "run" / "models"
    trainings = ["--dpo_args", TRAINING, "--rft_args", TRAINING]
    argv = ["--run", str(run), "--engine", "llamacpp", *SMALL, *trainings]
    process = start(*argv, job="pipelines.iterate")
    out, err = process.communicate(timeout=1100)
    assert process.returncode == 0, out + err
    assert query(run, "select count(*) > 0 from pairs") == [(True,)]
    first = Path(bundled()["actor"]).name
    assert query(run, "select distinct model from responses") == [(first,)]
    assert "What each iteration brought" in out
    for role in ("actor", "refiner"):
        made = models / f"{role}-2.gguf"
        assert read_header(made).tensors == read_header(bundled_model()).tensors
    server = LlamaCppServer(models / "actor-2.gguf", slots=1)
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=60) as answer:
            assert answer.status == 200
    finally:
        server.close()
