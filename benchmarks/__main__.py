"""Runs the measurements: markdown tables on stdout, raw results and plots in files.

python -m benchmarks [saturation whole_round engines decoders methods client overhead peers
    real_engine savings kills kills_everywhere queries million commits training adapters
    demo_refiner filters vendor_clients] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    adapters,
    client,
    commits,
    decoders,
    demo_refiner,
    engines,
    filters,
    kills,
    methods,
    million,
    overhead,
    peers,
    queries,
    real_engine,
    report,
    saturation,
    savings,
    training,
    vendor_clients,
    whole_round,
)
from benchmarks.report import Report

FULL: dict[str, Callable[[], Report]] = {
    "saturation": saturation.measure,
    "whole_round": whole_round.measure,
    "engines": engines.measure,
    "decoders": decoders.measure,
    "methods": methods.measure,
    "client": client.measure,
    "overhead": overhead.measure,
    "peers": peers.measure,
    "real_engine": real_engine.measure,
    "savings": savings.measure,
    "kills": kills.measure,
    "kills_everywhere": kills.everywhere,
    "queries": queries.measure,
    "million": million.measure,
    "commits": commits.measure,
    "training": training.measure,
    "adapters": adapters.measure,
    "demo_refiner": demo_refiner.measure,
    "filters": filters.measure,
    "vendor_clients": vendor_clients.measure,
}


BY_NAME = ("kills_everywhere", "million", "real_engine")
"""Each takes as long as all others; only where they are named."""


def quick(plots: Path) -> dict[str, Callable[[], Report]]:
    """The same at sizes that show that all works, and nothing else."""
    return {
        "saturation": lambda: saturation.measure(
            saturation.QUICK_PROMPTS, slots=32, speed=8, plots=plots
        ),
        "engines": lambda: engines.measure(engines.QUICK_PROMPTS, slots=32, speed=8),
        "decoders": lambda: decoders.measure(decoders.QUICK_PROMPTS, slots=32, speed=8),
        "methods": lambda: methods.measure(methods.QUICK_PROMPTS, slots=32, speed=8),
        "whole_round": lambda: whole_round.measure(whole_round.QUICK_PROMPTS, slots=32, speed=8),
        "client": lambda: client.measure(client.QUICK_REQUESTS, speeds=(60, 20)),
        "overhead": lambda: overhead.measure(overhead.QUICK_SIZES, plots=plots),
        "peers": lambda: peers.measure(peers.QUICK_PROMPTS, slots=32, speed=8),
        "real_engine": lambda: real_engine.measure(
            real_engine.QUICK_PROMPTS, options=real_engine.QUICK
        ),
        "savings": lambda: savings.measure(savings.QUICK_PROMPTS, slots=32, speed=8),
        "kills": lambda: kills.measure(kills.QUICK_PROMPTS, kills.QUICK_KILLS, slots=32, speed=8),
        "kills_everywhere": lambda: kills.everywhere(
            kills.QUICK_PROMPTS, len(kills.WAYS), slots=32, speed=8
        ),
        "queries": lambda: queries.measure(pairs=queries.QUICK_PAIRS),
        "million": lambda: million.measure(million.QUICK_PROMPTS, million.QUICK_PROMPTS),
        "commits": lambda: commits.measure(commits.QUICK_COMMITS, kills=1),
        "training": lambda: training.measure(training.QUICK_STEPS, hidden=32, rounds=1),
        "adapters": lambda: adapters.measure(adapters.QUICK_REQUESTS, adapters.QUICK_TOKENS, 1),
        "demo_refiner": lambda: demo_refiner.measure(demo_refiner.QUICK_PROMPTS),
        "filters": lambda: filters.measure(filters.QUICK_PROMPTS),
        "vendor_clients": lambda: vendor_clients.measure(vendor_clients.QUICK_REQUESTS),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", metavar="NAME", help=f"of {', '.join(FULL)}")
    parser.add_argument("--quick", action="store_true", help="small, and nothing is kept")
    o = parser.parse_args(argv)
    if unknown := set(o.which) - set(FULL):
        parser.error(f"no measurement {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as scratch:
        measures = quick(Path(scratch)) if o.quick else FULL
        made = []
        for name in o.which or [name for name in FULL if o.quick or name not in BY_NAME]:
            made.append(measures[name]())
            if not o.quick:
                report.save(made[-1])
            _say(f"## {made[-1].title}\n\n{report.markdown(made[-1].columns, made[-1].rows)}\n")
    figures = [figure for each in made for figure in each.figures]
    _say("## Rows for the README\n")
    _say(report.markdown(("what", "measured", "with"), figures))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
