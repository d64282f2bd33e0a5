"""Decoders: how near the engine's floor each comes, where it answers prompts.

What one of them asks depends on what it was answered, so an item's requests come one after
another; the engine stays full by other items.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import harness, report, saturation
from benchmarks.report import Report
from spar_core.stages.decode import DECODER_NAMES

PROMPTS, QUICK_PROMPTS = 512, 64


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Answer prompts by each decoder on a simulator.

    Args:
        url: one that runs already; its clock and slots are taken as they are.
    """
    machine = report.machine()
    decoders: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        for decoder in DECODER_NAMES:
            line = ["--run", str(place / decoder), "--prompts", str(file), "--decoder", decoder]
            line += ["--engine_url", simulator.url, "--slots", str(slots)]
            decoders[decoder] = saturation.loaded(simulator, "answer", line, place / "log")
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return saturation.reported("decoders", f"Decoders: {where}", decoders, where, settings)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoders", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--url", default="", help="a server with /stats and /reset that runs")
    o = parser.parse_args(argv)
    made = measure(o.prompts, slots=o.slots, speed=o.speed, url=o.url)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
