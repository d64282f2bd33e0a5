"""A whole round: how near the engine's floor it comes stage by stage, and as one pipeline.

From the first request to the last, so that what a stage's beginning and its stragglers cost counts.
"""

from __future__ import annotations

from benchmarks import saturation
from benchmarks.report import Report

WAYS = {"stage by stage": ["--together", "off"], "as one pipeline": ["--together", "on"]}
PROMPTS, QUICK_PROMPTS = saturation.PROMPTS, 48


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Refine prompts in both ways on a simulator, or the server at a URL."""
    return saturation.side_by_side(
        "whole_round",
        "A whole round",
        "refine",
        WAYS,
        prompts=prompts,
        slots=slots,
        speed=speed,
        url=url,
    )


if __name__ == "__main__":
    saturation.command("whole_round", __doc__, measure)
