"""Stand-ins for vLLM and the trainings, run as what they stand for in a folder made for it.

A job started there finds them first. Files in that folder tell the trainings what to do:
`dpo.exit` holds a code to end with, `dpo.hang` makes it wait for Ctrl-C (`dpo.hangs` says that it
does), and `trainings.jsonl` has a line for each that was started. `sft_actor` is `sft` with
`--task actor`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.loopback import LoopbackServer
from tests.pipelines import processes
from tests.pipelines.processes import ROOT, Process
from tests.pipelines.rounds import story

_MODULES = {
    "trl/__init__.py": "",
    "training/__init__.py": "",
    **{
        f"training/{job}.py": f"import sys\nfrom tests.pipelines import standins\n"
        f"sys.exit(standins.train('{job}', sys.argv[1:]))\n"
        for job in ("dpo", "rft", "sft")
    },
    "vllm/__init__.py": "",
    "vllm/entrypoints/__init__.py": "",
    "vllm/entrypoints/openai/__init__.py": "",
    "vllm/entrypoints/openai/api_server.py": "from tests.pipelines import standins\n"
    "standins.serve()\n",
}
RESULT = {
    "dpo": {
        "steps": 12,
        "final": {"loss": 0.61234, "rewards/margins": 0.25, "rewards/accuracies": 0.75},
    },
    "rft": {"steps": 7, "final": {"loss": 1.5}},
    "sft_actor": {"steps": 3, "final": {"loss": 1.25}},
    "sft_refiner": {"steps": 4, "final": {"loss": 0.75}},
}


def install(folder: Path) -> Path:
    """The stand-ins' modules, to be started from this folder."""
    for name, text in _MODULES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def checkpoint(folder: Path, weights: str) -> Path:
    """What passes for a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    return folder


def start(folder: Path, *argv: str) -> Process:
    """`pipelines.iterate` in a process and a process group of its own."""
    path = {"PYTHONPATH": str(ROOT)}
    return processes.start(
        "pipelines.iterate", *argv, folder=folder, environment=path, has_own_group=True
    )


def trainings(folder: Path) -> list[list[str]]:
    """The command lines of the trainings that were started, each after its name."""
    path = folder / "trainings.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train(job: str, argv: Sequence[str]) -> int:
    """A training in the current folder: its checkpoint's weights name what it was made of."""
    if "--check" in argv:
        bad = "--no_such" in argv
        sys.stderr.write("error: no option --no_such\n" if bad else "")
        return 2 if bad else 0
    parser = argparse.ArgumentParser()
    for name in ("data", "where", "model", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task")
    options, _ = parser.parse_known_args(argv)
    job = f"{job}_{options.task}" if options.task else job
    with Path("trainings.jsonl").open("a") as file:
        file.write(json.dumps([job, *argv]) + "\n")
    told = Path(f"{job}.exit")
    if told.exists():
        sys.stderr.write(f"error: {job} was told to\n")
        return int(told.read_text())
    if Path(f"{job}.hang").exists():
        try:
            Path(f"{job}.hangs").write_text("it does")
            time.sleep(300)
        except KeyboardInterrupt:
            sys.stderr.write(f"error: {job} was interrupted\n")
            return 4
    output = Path(options.output)
    record: dict[str, Any] = {"job": job, "data": {"examples": 5}, "result": RESULT[job]}
    before = (Path(options.model) / "model.safetensors").read_bytes()
    checkpoint(output, f"{job} {options.where} {hashlib.sha256(before).hexdigest()}")
    (output / "training.json").write_text(json.dumps(record | {"done": True}))
    return 0


def serve() -> None:
    """An engine that plays `rounds.story` whatever its model is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    options, _ = parser.parse_known_args()
    LoopbackServer(story, options.port)
    time.sleep(600)
