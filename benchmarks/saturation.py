"""Saturation: how near the engine's floor each stage comes, and what a request costs the client.

The floor is the time that a full engine needs for the same tokens. The client's CPU is that of
the job less that of the same job for one prompt, which is start-up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.report import Report

STAGES = {
    "sample": "sample",
    "judge": "judge",
    "tree_search": "tree_search",
    "answer": "benchmarks.stage answer",
    "teach": "benchmarks.stage teach",
}
"""By the stage what runs it alone; the last two are a bootstrap's, with an engine as teacher."""
PROMPTS, QUICK_PROMPTS = 512, 64


def measure(
    prompts: int = PROMPTS,
    *,
    slots: int = 256,
    speed: float = 1.0,
    url: str = "",
    plots: Path = report.PLOTS,
) -> Report:
    """Run the stages one by one on a simulator.

    Args:
        url: one that runs already; its clock and slots are taken as they are.
    """
    machine = report.machine()
    stages: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        common = ["--run", str(place / "run"), "--engine_url", simulator.url]
        common += ["--slots", str(slots)]
        for stage, job in STAGES.items():
            line = [*common, "--prompts", str(file)] if stage == "sample" else common
            stages[stage] = loaded(simulator, job, line, place / "log")
    if not url:
        plot(stages, slots, plots / "saturation.png")
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return reported("saturation", f"Saturation: {where}", stages, where, settings)


def side_by_side(
    name: str,
    title: str,
    job: str,
    ways: Mapping[str, Sequence[str]],
    *,
    prompts: int,
    slots: int,
    speed: float,
    url: str,
) -> Report:
    """Run a job that reads prompts in several ways on a simulator, each in a run of its own.

    Args:
        ways: more arguments of the job, by what they stand for. url: as of `measure`.
    """
    machine = report.machine()
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        for way, more in ways.items():
            line = ["--run", str(place / way), "--prompts", str(file), *more]
            line += ["--engine_url", simulator.url, "--slots", str(slots)]
            found[way] = loaded(simulator, job, line, place / "log")
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return reported(name, f"{title}: {where}", found, where, settings)


def loaded(
    simulator: harness.Simulator, job: str, line: Sequence[str], log: Path
) -> dict[str, Any]:
    """What a simulator and its client did for a job; a run for one prompt comes before it."""
    startup = harness.run(job, *line, "--limit", "1", log=log)
    simulator.reset()
    cost = harness.run(job, *line, log=log)
    stats = simulator.stats()
    return {
        **stats,
        "job_wall_s": cost.wall_s,
        "cpu_s": cost.cpu_s,
        "startup_cpu_s": startup.cpu_s,
        "startup_wall_s": startup.wall_s,
        "requests_per_s": stats["requests"] / stats["wall_s"],
        "cpu_ms_per_request": 1000 * (cost.cpu_s - startup.cpu_s) / stats["requests"],
    }


def reported(
    name: str, title: str, stages: dict[str, dict[str, Any]], where: str, settings: dict[str, Any]
) -> Report:
    """A row for each of the stages."""
    return Report(
        name,
        title,
        _COLUMNS,
        [[stage, *(values[name] for name in _SHOWN)] for stage, values in stages.items()],
        [
            (
                f"{stage}: wall over the engine's floor; slots in use; CPU per request",
                f"{values['wall_over_floor']:.2f}; {values['mean_occupancy']:.0%}; "
                f"{values['cpu_ms_per_request']:.2f} ms",
                where,
            )
            for stage, values in stages.items()
        ],
        {**settings, "stages": stages},
    )


_SHOWN = (
    "wall_over_floor",
    "mean_occupancy",
    "cpu_ms_per_request",
    "requests_per_s",
    "requests",
    "completion_tokens",
    "wall_s",
    "floor_s",
)
_COLUMNS = (
    "stage",
    "wall / floor",
    "slots in use",
    "CPU ms / request",
    "requests / s",
    "requests",
    "tokens",
    "wall s",
    "floor s",
)


def plot(stages: dict[str, dict[str, Any]], slots: int, path: Path) -> None:
    """Slots in use over time, a panel a stage."""
    with report.plotting(path, len(stages)) as axes:
        for axis, (stage, values) in zip(axes, stages.items(), strict=True):
            seconds = [point[0] for point in values["timeline"]]
            axis.fill_between(seconds, [point[1] for point in values["timeline"]], alpha=0.8)
            axis.axvline(values["floor_s"], color="black", linestyle="--", linewidth=1)
            axis.set_ylim(0, slots * 1.05)
            axis.set_ylabel("slots in use")
            axis.set_title(
                f"{stage}: {values['mean_occupancy']:.0%} of the slots, "
                f"{values['wall_over_floor']:.2f} x floor (dashed)",
                fontsize=9,
            )
        axes[-1].set_xlabel("seconds")


def command(name: str, description: str | None, measuring: Callable[..., Report]) -> None:
    """Run a measurement by itself, also on a server that runs already, and print its table."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--url", default="", help="a server with /stats and /reset that runs")
    o = parser.parse_args()
    made = measuring(o.prompts, slots=o.slots, speed=o.speed, url=o.url)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    command("saturation", __doc__, measure)
