"""Iterations for real, without a GPU: vLLM serves what TRL has made of the bundled model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from spar_core.engine.spec import EngineSpec, identity
from tests.pipelines.rounds import check, query, start, write_prompts
from tests.pipelines.test_vllm import writers

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not (importlib.util.find_spec("vllm") and importlib.util.find_spec("trl")),
        reason="vLLM or TRL is not installed here: make test-vllm",
    ),
]

SMALL = [
    *("--iterations", "2", "--limit", "3", "--responses", "2", "--votes", "3"),
    *("--depth", "1", "--budget", "3", "--constrained", "on"),
    *("--actor_max_tokens", "128", "--judge_max_tokens", "64", "--refine_max_tokens", "128"),
]
TRAINING = (
    "--max_steps 1 --learning_rate 1e-4 --warmup_steps 0 --max_length 768 --save_strategy no "
    "--per_device_train_batch_size 1 --gradient_accumulation_steps 1"
)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_each_iteration_is_served_what_the_one_before_made(
    checkpoint: Path, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads that wait for each other in a loop take the cores from what else is at work.
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    run, models = tmp_path / "run", tmp_path / "run" / "models"
    trainings = ["--dpo_args", TRAINING, "--rft_args", f"{TRAINING} --use_peft"]
    argv = ["--run", str(run), "--model", str(checkpoint), *SMALL, *trainings]
    process = start(*argv, job="pipelines.iterate")
    out, err = process.communicate(timeout=1400)
    print(out)
    assert process.returncode == 0, out + err
    assert not writers(run / "engine.log"), "the servers are gone"
    check(run, responses=2, depth=1, budget=3)
    assert query(run, "select iteration, count(*) from prompts group by all order by all") == [
        (1, 3),
        (2, 3),
    ]
    assert not query(run, "select prompt_id from prompts group by all having count(*) > 1")

    record = json.loads((models / "iteration-1.json").read_text())["trained"]
    made = {role: models / f"{role}-2" for role, arguments in record.items() if arguments}
    assert made, "nothing was trained, so nothing is shown"
    for role, table in (("actor", "pairs"), ("refiner", "rft")):
        [(rows,)] = query(run, f"select count(*) from {table} where iteration = 1")
        assert bool(rows) == (role in made)
    served = {"actor": "sample", "refiner": "judge"}
    for role, stage in served.items():
        settings = run / "_manifest" / "iteration=2" / f"{stage}.settings"
        asked = json.loads(settings.read_text())
        model = identity(EngineSpec("vllm", str(made.get(role, checkpoint))))
        assert {name: asked[f"{role}.{name}"] for name in model} == model
        if role in made:
            assert model["content"] != identity(EngineSpec("vllm", str(checkpoint)))["content"]
            assert changed(checkpoint, made[role])
    actor, refiner = (made.get(role, checkpoint).name for role in served)
    for table, model in (("responses", actor), ("judgements", refiner)):
        answered = f"select distinct model from {table} where iteration = 2"
        assert query(run, answered) == [(model,)]
    assert "What each iteration brought" in out


SEEDS = [
    "Write about the history of tea in China.",
    "Explain to a child how a bicycle stays upright.",
    "Describe a walk through a busy market.",
    "Give advice on learning to cook at home.",
    "Tell a story about a lighthouse keeper and his dog.",
    "Introduce the city of Lisbon to somebody who has never been there.",
]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_bootstrap_makes_the_models_of_the_first_iteration(
    checkpoint: Path, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    run, models = tmp_path / "run", tmp_path / "run" / "models"
    seeds = write_prompts(tmp_path / "seeds.jsonl", SEEDS)
    argv = ["--run", str(run), "--model", str(checkpoint), *SMALL, "--iterations", "1"]
    argv += ["--bootstrap", "--seeds", str(seeds), "--bootstrap_limit", "3"]
    argv += ["--bootstrap_args", "--responses 2 --actor_max_tokens 128 --closest 0"]
    argv += ["--sft_actor_args", TRAINING]
    argv += ["--sft_refiner_args", f"{TRAINING} --max_length 2048 --use_peft"]
    argv += ["--dpo_args", TRAINING, "--rft_args", TRAINING]
    process = start(*argv, job="pipelines.iterate")
    out, err = process.communicate(timeout=1400)
    print(out)
    assert process.returncode == 0, out + err
    assert not writers(run / "engine.log"), "the servers are gone"
    taught = "select count(distinct prompt_id) from responses where iteration = 0"
    assert query(run, taught) == [(3,)]
    assert query(run, "select count(*) from prompts where iteration = 1") == [(3,)]
    assert not query(
        run,
        "select prompt_id from responses group by prompt_id having count(distinct iteration) > 1",
    )

    record = json.loads((models / "iteration-0.json").read_text())["trained"]
    made = {role: models / f"{role}-1" for role, arguments in record.items() if arguments}
    assert made, "nothing was trained, so nothing is shown"
    served = {"actor": "sample", "refiner": "judge"}
    for role, stage in served.items():
        [(rows,)] = query(run, f"select count(*) from sft_{role}")
        assert bool(rows) == (role in made)
        settings = run / "_manifest" / "iteration=1" / f"{stage}.settings"
        asked = json.loads(settings.read_text())
        model = identity(EngineSpec("vllm", str(made.get(role, checkpoint))))
        assert {name: asked[f"{role}.{name}"] for name in model} == model
        if role in made:
            assert changed(checkpoint, made[role])
    assert "What the bootstrap brought" in out


def changed(before: Path, after: Path) -> bool:
    """Whether any weight is another."""
    from transformers import AutoModelForCausalLM

    held, now = (
        AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (before, after)
    )
    assert held.keys() == now.keys()
    return any(not held[name].to(now[name].dtype).equal(now[name]) for name in held)
