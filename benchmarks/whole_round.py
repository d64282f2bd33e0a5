"""A whole round: how near the engine's floor it comes stage by stage, and as one pipeline.

From the first request to the last, so that what a stage's beginning and its stragglers cost counts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import harness, report, saturation
from benchmarks.report import Report

WAYS = {"stage by stage": [], "as one pipeline": ["--together"]}
PROMPTS, QUICK_PROMPTS = 512, 48


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Refine prompts in both ways on a simulator.

    Args:
        url: one that runs already; its clock and slots are taken as they are.
    """
    machine = report.machine()
    ways: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        for way, more in WAYS.items():
            line = ["--run", str(place / way), "--prompts", str(file), *more]
            line += ["--engine_url", simulator.url, "--slots", str(slots)]
            ways[way] = saturation.loaded(simulator, "refine", line, place / "log")
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return saturation.reported("whole_round", f"A whole round: {where}", ways, where, settings)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_round", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--url", default="", help="a server with /stats and /reset that runs")
    o = parser.parse_args(argv)
    made = measure(o.prompts, slots=o.slots, speed=o.speed, url=o.url)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
