"""Planning: what a probe predicts of the rest of a round, beside what the rest then takes.

On a simulated engine, or with --embedded on the bundled model.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import harness, report
from benchmarks.report import Report
from pipelines import costing
from pipelines.execution.options import DEMO_PROMPTS
from spar_core.costs.prediction import Measured, Prediction, Used, Width, learn, predict
from spar_core.costs.taken import STAGES
from spar_core.dataset import Dataset
from spar_core.engine.protocol import Sampling
from spar_core.voting import JudgeSettings

PROMPTS, PROBE = 512, 32

_VOTING = JudgeSettings(Sampling(0.7, 1.0, 1))
_WHAT = ("requests", "prompt_tokens", "completion_tokens", "seconds")


def measure(
    prompts: int = PROMPTS,
    probe: int = PROBE,
    *,
    slots: int = 256,
    speed: float = 1.0,
    embedded: bool = False,
    staged: bool = False,
) -> Report:
    """Plan by a probe, then do the rest; a row for each stage and what it took."""
    machine = report.machine()
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        run, log = place / "run", place / "log"
        line = ["--run", str(run), "--slots", str(slots), "--limit", str(prompts)]
        width = Width(slots, together=not staged and not embedded)
        line += ["--together", "on" if width.together else "off"]
        if embedded:
            line += ["--prompts", str(DEMO_PROMPTS)]
        else:
            rate = ["--slots", str(slots), "--speed", str(speed), "--malformed-rate", "0.05"]
            simulator = stack.enter_context(harness.simulating(*rate))
            file = harness.write_prompts(place / "prompts.jsonl", prompts)
            line += ["--prompts", str(file), "--engine_url", simulator.url]
        harness.run("plan", *line, "--probe", str(probe), log=log)
        before = costing.used(Dataset(str(run), 1), {})
        found = predicted(run, prompts - probe, width)
        if not embedded:
            simulator.reset()
        cost = harness.run("refine", *line, log=log)
        after = costing.used(Dataset(str(run), 1), {})
        wall = None if embedded else simulator.stats()["wall_s"] / speed
    load = round(os.getloadavg()[0], 2)
    rows = _rows(found, before, after, wall)
    engine = "the bundled model" if embedded else f"a simulator {speed:g} times as fast"
    engine += ", as one pipeline" if width.together else ", stage by stage"
    where = f"{probe} of {prompts} prompts, {slots} slots, {engine}"
    return Report(
        "planning",
        f"Planning: {where}",
        ("stage", "what", "predicted", "low", "high", "taken", "predicted / taken"),
        rows,
        [],
        {"machine": machine, "load_after": load, "job_s": cost.wall_s, "rows": rows},
    )


def predicted(run: Path, prompts: int, width: Width) -> Prediction:
    """What a run that holds a probe and nothing else says of more prompts."""
    dataset = Dataset(str(run), 1)
    rows = costing.read(dataset, {}, _VOTING)
    model = learn(Measured(rows.prompts, rows.taken, costing.used(dataset, {})), width)
    return predict(model, prompts, width)


def _rows(
    found: Prediction, before: dict[str, Used], after: dict[str, Used], wall: float | None
) -> list[list[object]]:
    """A row for each stage and what it took; seconds of a stage only where it has its own.

    Args:
        wall: seconds from the first request to the last; None for those of the stages.
    """
    rows: list[list[object]] = []
    for what in _WHAT:
        is_time = what == "seconds"
        taken = {s: getattr(after[s], what) - getattr(before[s], what) for s in STAGES}
        ranges = found.seconds if is_time else {s: found.counts[s][what] for s in STAGES}
        whole = found.wall if is_time else found.total[what]
        total = wall if is_time and wall is not None else sum(taken.values())
        named = [(s, ranges[s], taken[s]) for s in STAGES if s in ranges]
        for stage, range_, took in [*named, ("all", whole, total)]:
            low, high = float(range_.low), float(range_.high)
            ratio = range_.value / max(took, 1e-9)
            rows.append([stage, what, range_.value, low, high, float(took), ratio])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--probe", type=int, default=PROBE)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--embedded", action="store_true", help="the bundled model")
    parser.add_argument("--staged", action="store_true", help="not as one pipeline")
    o = parser.parse_args(argv)
    made = measure(
        o.prompts, o.probe, slots=o.slots, speed=o.speed, embedded=o.embedded, staged=o.staged
    )
    sys.stdout.write(f"{made.title}\n\n{report.markdown(made.columns, made.rows)}\n")
    loads = f"load {made.data['machine']['load']} before, {made.data['load_after']} after"
    sys.stdout.write(f"\nThe rest took the job {made.data['job_s']:.0f} s; {loads}.\n")


if __name__ == "__main__":
    main()
