"""Overhead: what the round costs besides the engine, which here answers at once.

Each size runs in a process of its own that notes its memory and its progress as it goes: memory
should stay flat, and the rate should not fall, as the run grows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.harness import JobFailed
from benchmarks.report import Report
from pipelines.execution import job
from pipelines.execution.lease import Hold
from pipelines.execution.options import parse
from pipelines.execution.plan import Part, Plan, plan
from pipelines.execution.session import Session
from spar_core.dataset import Dataset
from spar_core.engine.meter import Meter
from spar_core.engine.spec import EngineSpec
from spar_core.methods import spar
from terminal.console import Console

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (100, 300)

_SAMPLES = 400
_ENGINE = EngineSpec("scripted", "benchmarks.instant:engine")


def measure(sizes: Sequence[int] = SIZES, *, plots: Path = report.PLOTS) -> Report:
    """Run the round at each size."""
    machine = report.machine()
    rounds = [_in_a_process(size) for size in sizes]
    plot(rounds, plots / "overhead.png")
    return Report(
        "overhead",
        "Overhead: the round on an engine that answers at once",
        ("prompts", "prompts / s", "requests / s", "MB at most", "MB per stage, median", "s"),
        [
            [
                r["prompts"],
                r["prompts"] / r["wall_s"],
                r["requests"] / r["wall_s"],
                r["peak_mb"],
                ", ".join(f"{stage['name']} {stage['median_mb']:.0f}" for stage in r["stages"]),
                r["wall_s"],
            ]
            for r in rounds
        ],
        [
            (
                f"round on an engine that answers at once, {r['prompts']:,} prompts: "
                "prompts/s; memory at most",
                f"{r['prompts'] / r['wall_s']:.0f}; {r['peak_mb']:.0f} MB",
                "one process",
            )
            for r in rounds
        ],
        {"machine": machine, "rounds": rounds},
    )


def _in_a_process(size: int) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.overhead", "--one", str(size)]
    done = subprocess.run(line, cwd=harness.ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise JobFailed(f"the round of {size} prompts ended with {done.returncode}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


class _Watch:
    """Notes time, memory in MB, items done and the stage, of this process."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.samples: list[tuple[float, float, int, str]] = []
        self.began = time.monotonic()
        self._stage = "prompts"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def plan(self, part: Part, dataset: Dataset, plan_name: str) -> Plan:
        """Plan a stage, which is where the job takes it up."""
        self._note()
        self._stage = part.stage.name
        self._note()
        return plan(part, dataset, plan_name)

    def end(self) -> float:
        """Stop; returns the seconds since the beginning."""
        self._over.set()
        self._thread.join()
        self._note()
        return self.samples[-1][0]

    def _run(self) -> None:
        while not self._over.wait(0.25):
            self._note()

    def _note(self) -> None:
        at = time.monotonic() - self.began
        self.samples.append(
            (round(at, 2), round(_resident_mb(), 1), self._meter.items, self._stage)
        )


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def one(size: int) -> dict[str, Any]:
    """Run the round in this process."""
    with harness.folder() as place:
        file = harness.write_prompts(place / "prompts.jsonl", size)
        line = f"--run {place}/run --prompts {file} --engine_url http://unused --model instant"
        parsed = parse("refine", "", {"spar": spar.STAGES}, line.split())
        instant = replace(parsed, engines=dict.fromkeys(parsed.engines, _ENGINE))
        session = Session()
        started_mb, watch = _resident_mb(), _Watch(session.engines.meter)
        vars(job)["plan"] = watch.plan
        console = Console(stderr=True, quiet=True)
        code = job.run(instant, session, Hold(), console, console)
        wall_s = watch.end()
        session.close()
        if code:
            raise JobFailed(f"the round ended with {code}")
        requests = harness.query(place / "run", "select sum(requests) from usage")[0][0]
    return {
        "prompts": size,
        "wall_s": wall_s,
        "requests": int(requests),
        "started_mb": started_mb,
        "peak_mb": max(sample[1] for sample in watch.samples),
        "stages": [_of_stage(watch.samples, stage.name) for stage in spar.STAGES],
        "samples": watch.samples[:: max(1, len(watch.samples) // _SAMPLES)],
    }


def _of_stage(samples: Sequence[tuple[float, float, int, str]], name: str) -> dict[str, Any]:
    """A stage's time, items and memory, and its rate in each half of its items.

    The first half of the time goes by the moment when half of the items were done.
    """
    mine = [sample for sample in samples if sample[3] == name]
    if not mine:
        return {"name": name, "items": 0, "s": 0.0, "median_mb": 0.0}
    first, last = mine[0], mine[-1]
    memory = sorted(sample[1] for sample in mine)
    half = next(s for s in mine if s[2] - first[2] >= (last[2] - first[2]) / 2)
    working = next((s for s in mine if s[2] > first[2]), first)
    halves = [(half[2] - working[2], half[0] - working[0]), (last[2] - half[2], last[0] - half[0])]
    return {
        "name": name,
        "items": last[2] - first[2],
        "s": round(last[0] - first[0], 2),
        "median_mb": memory[len(memory) // 2],
        "items_per_s_by_half": [round(items / s, 1) if s else None for items, s in halves],
    }


def plot(rounds: Sequence[dict[str, Any]], path: Path) -> None:
    """Memory and items over the largest run."""
    largest = max(rounds, key=lambda r: int(r["prompts"]))
    samples = largest["samples"]
    seconds = [sample[0] for sample in samples]
    with report.plotting(path, 2) as (memory, done):
        memory.plot(seconds, [sample[1] for sample in samples])
        memory.set_ylim(0, None)
        memory.set_ylabel("MB resident")
        memory.set_title(f"the round on an instant engine, {largest['prompts']:,} prompts")
        for name in dict.fromkeys(sample[3] for sample in samples):
            mine = [sample for sample in samples if sample[3] == name]
            done.plot([s[0] for s in mine], [(s[2] - mine[0][2]) / 1000 for s in mine], label=name)
        done.set_ylabel("items done, thousands")
        done.set_xlabel("seconds")
        done.legend(fontsize=8, ncols=3)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help="one size in this process, its results as JSON")
    o = parser.parse_args(argv)
    if o.one:
        sys.stdout.write(json.dumps(one(o.one)))
        return
    made = measure(o.sizes)
    report.save(made)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
