"""Methods: how near the engine's floor each of their own stages comes that asks an engine.

Sampling and judging are measured by `saturation`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks import harness, report, saturation
from benchmarks.report import Report

PROMPTS, QUICK_PROMPTS = saturation.PROMPTS, saturation.QUICK_PROMPTS
STAGES = ("rate", "meta_judge", "verifiers")
"""Those of Self-Rewarding, Meta-Rewarding and AutoIF (the sandbox included), after the samples."""


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Run the stages one by one on a simulator, or the server at a URL."""
    machine = report.machine()
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        line = ["--run", str(place / "run"), "--engine_url", simulator.url]
        line += ["--slots", str(slots)]
        harness.run("sample", *line, "--prompts", str(file), log=place / "log")
        for stage in STAGES:
            job = f"benchmarks.stage {stage}"
            found[stage] = saturation.loaded(simulator, job, line, place / "log")
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return saturation.reported("methods", f"Stages of methods: {where}", found, where, settings)


if __name__ == "__main__":
    saturation.command("methods", __doc__, measure)
