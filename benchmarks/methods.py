"""Methods: how near the engine's floor each of their own stages comes that asks an engine.

Sampling and judging are measured by `saturation`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks import harness, report, saturation
from benchmarks.report import Report

PROMPTS, QUICK_PROMPTS = saturation.PROMPTS, saturation.QUICK_PROMPTS
OF_ANSWERS = ("rate", "meta_judge", "verifiers", "self")
"""Those of Self-Rewarding, Meta-Rewarding, AutoIF (the sandbox included) and SELF."""
OF_SEEDS = ("backtranslate", "curate", "propose", "evolve")
"""Humpback's, and self-made prompts: the seeds that come first, and the others."""
SEEDS_A_PROMPT = 8
"""A seed is one answer or three, a prompt five answers or more."""


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Run the stages one by one on a simulator, or the server at a URL."""
    machine = report.machine()
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(harness.folder())
        simulator = stack.enter_context(harness.engine(url, slots, speed))
        log = place / "log"
        engine = ["--engine_url", simulator.url, "--slots", str(slots)]
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        line = ["--run", str(place / "answers"), *engine]
        harness.run("sample", *line, "--prompts", str(file), log=log)
        harness.run("judge", *line, log=log)
        for stage in OF_ANSWERS:
            found[stage] = saturation.loaded(simulator, f"benchmarks.stage {stage}", line, log)
        seeds = harness.write_prompts(place / "seeds.jsonl", SEEDS_A_PROMPT * prompts)
        line = ["--run", str(place / "seeds"), "--seeds", str(seeds), *engine]
        for stage in OF_SEEDS:
            found[stage] = saturation.loaded(simulator, f"benchmarks.stage {stage}", line, log)
    settings = {"machine": machine, "prompts": prompts, "slots": slots, "speed": speed}
    where = f"{prompts} prompts, {slots} slots"
    return saturation.reported("methods", f"Stages of methods: {where}", found, where, settings)


if __name__ == "__main__":
    saturation.command("methods", __doc__, measure)
