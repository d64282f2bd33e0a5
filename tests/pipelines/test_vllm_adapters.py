"""Actor and refiner as two LoRA adapters of one base, on one vLLM without a GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.pipelines.rounds import query, start
from tests.pipelines.test_vllm import writers

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not (importlib.util.find_spec("vllm") and importlib.util.find_spec("peft")),
        reason="vLLM or PEFT is not installed here: make test-vllm",
    ),
]


def random_adapter(checkpoint: Path, folder: Path, seed: int) -> Path:
    """An adapter that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.mark.slow  # without a GPU vLLM decodes less than a token a second with adapters
@pytest.mark.timeout(600)
def test_one_server_answers_for_both(checkpoint: Path, tmp_path: Path, scratch: Path) -> None:
    actor = random_adapter(checkpoint, tmp_path / "actor-2" / "adapter", 1)
    refiner = random_adapter(checkpoint, tmp_path / "refiner-2" / "adapter", 2)
    run = tmp_path / "run"
    process = start(
        *("--run", str(run), "--engine", "vllm", "--model", str(checkpoint), "--limit", "1"),
        *("--actor_adapter", str(actor), "--refiner_adapter", str(refiner), "--responses", "2"),
        *("--votes", "1", "--depth", "1", "--budget", "2", "--actor_max_tokens", "24"),
        *("--judge_max_tokens", "24", "--refine_max_tokens", "24", "--constrained", "on"),
        "--prompts=pipelines/demo/prompts.jsonl",
    )
    out, err = process.communicate(timeout=550)
    assert process.returncode in (0, 3), out + err
    assert not writers(run / "engine.log"), "the server is gone"
    base = checkpoint.name
    assert query(run, "select distinct model from responses") == [(f"{base}+actor-2",)]
    assert query(run, "select distinct model from judgements") == [(f"{base}+refiner-2",)]
    said = (run / "engine.log").read_text(errors="replace")
    assert said.count("Application startup complete") == 1, "one server for all stages"
