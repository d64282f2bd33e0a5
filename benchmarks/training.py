"""Training: our DPO job beside TRL's own script, on the same pairs with the same settings.

By itself it trains a small random Llama, which shows what our job adds; with --model it trains a
checkpoint, on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness, llama, report
from benchmarks.answers import stream
from benchmarks.report import Report

STEPS, QUICK_STEPS = 60, 3
_SETTINGS = {
    "loss_type": "sigmoid sft",
    "loss_weights": "1.0 0.1",
    "learning_rate": "2e-7",
    "per_device_train_batch_size": "4",
    "gradient_accumulation_steps": "1",
    "max_length": "1024",
    "logging_steps": "1",
    "save_strategy": "no",
    "report_to": "none",
}


def measure(steps: int = STEPS, *, model: str = "", hidden: int = 256, rounds: int = 3) -> Report:
    """Train with both in turn, `rounds` times; of each the fastest counts."""
    machine = report.machine()
    with harness.folder() as place:
        base = model or str(llama.write(place / "llama", hidden=hidden, layers=4))
        data = _write_pairs(place / "data", count=4 * steps)
        shared = [f for k, v in _SETTINGS.items() for f in (f"--{k}", *v.split())]
        shared += ["--max_steps", str(steps), *_precision()]
        taken: dict[str, list[dict[str, Any]]] = {"training.dpo": [], "trl dpo": []}
        for number in range(rounds):
            ours, theirs = place / f"ours-{number}", place / f"theirs-{number}"
            line = ["--data", f"{data}/*.jsonl", "--model", base, "--output", str(ours)]
            taken["training.dpo"].append(_run("training.dpo", [*line, *shared], place / "o.json"))
            line = ["--dataset_name", str(data), "--model_name_or_path", base]
            line += ["--output_dir", str(theirs)]
            taken["trl dpo"].append(_run("trl.scripts.dpo", [*line, *shared], place / "t.json"))
    best = {name: min(some, key=lambda one: one["train_s"]) for name, some in taken.items()}
    rows = [
        [name, one["tokens_per_s"], one["train_s"], one["wall_s"], _memory(one)]
        for name, one in best.items()
    ]
    ours_best, theirs_best = best["training.dpo"], best["trl dpo"]
    speed = ours_best["tokens_per_s"] / theirs_best["tokens_per_s"]
    memory = _bytes(ours_best) / _bytes(theirs_best)
    what = f"{Path(base).name}, {steps} steps of 4 pairs"
    return Report(
        "training",
        f"DPO beside TRL's own script: {what}",
        ("job", "tokens/s", "train s", "whole command s", "peak memory"),
        rows,
        [
            ("training.dpo: tokens/s over those of TRL's script", f"{speed:.2f}", what),
            ("training.dpo: peak memory over that of TRL's script", f"{memory:.2f}", what),
        ],
        {"machine": machine, "steps": steps, "taken": taken},
    )


def _run(module: str, arguments: list[str], out: Path) -> dict[str, Any]:
    """What a training took; its tokens and seconds as its trainer logged them."""
    line = [sys.executable, "-m", "benchmarks.probe", str(out), module, *arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(
        line, cwd=harness.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise harness.JobFailed(f"{module}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    taken: dict[str, Any] = json.loads(out.read_text())
    if module == "training.dpo":
        output = Path(arguments[arguments.index("--output") + 1])
        result = json.loads((output / "training.json").read_bytes())["result"]
        tokens, seconds = result["tokens"], result["train_runtime_s"]
    else:
        tokens, seconds = (_last(done.stdout, name) for name in ("num_tokens", "train_runtime"))
    return taken | {"tokens": tokens, "train_s": seconds, "tokens_per_s": tokens / seconds}


def _last(said: str, name: str) -> float:
    """The last number that a trainer printed under this name."""
    return float(said.rpartition(f"'{name}': '")[2].partition("'")[0])


def _precision() -> list[str]:
    import torch

    return ["--bf16", str(torch.cuda.is_available())]


def _bytes(taken: dict[str, Any]) -> int:
    return int(taken["gpu_bytes"] or taken["resident_bytes"])


def _memory(taken: dict[str, Any]) -> str:
    kind = "GPU" if taken["gpu_bytes"] else "resident"
    return f"{_bytes(taken) / 1e9:.2f} GB {kind}"


def _write_pairs(folder: Path, count: int) -> Path:
    """Pairs of some 100 words whose sides differ in a few of them."""
    folder.mkdir()
    words = "rivers run to the sea and cats sleep under old trees while rain falls on warm stone"
    drawn = stream("training pairs")
    with (folder / "train.jsonl").open("w") as file:
        for number in range(count):
            rejected = drawn.choices(words.split(), k=drawn.randint(60, 140))
            chosen = [word if drawn.random() < 0.9 else "slowly" for word in rejected]
            sides = {"chosen": " ".join(chosen), "rejected": " ".join(rejected)}
            answers = {k: [{"role": "assistant", "content": v}] for k, v in sides.items()}
            prompt = [{"role": "user", "content": f"Write something, number {number}."}]
            file.write(json.dumps({"prompt": prompt, **answers}) + "\n")
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--model", default="", help="a checkpoint (default: a small random Llama)")
    parser.add_argument("--steps", type=int, default=STEPS)
    o = parser.parse_args(argv)
    made = measure(o.steps, model=o.model)
    report.save(made)
    sys.stdout.write(f"## {made.title}\n\n{report.markdown(made.columns, made.rows)}\n")


if __name__ == "__main__":
    main()
