"""Decoders: how near the engine's floor each comes, where it answers prompts.

What one of them asks depends on what it was answered, so an item's requests come one after
another; the engine stays full by other items.
"""

from __future__ import annotations

from benchmarks import saturation
from benchmarks.report import Report
from spar_core.stages.decode import DECODER_NAMES

PROMPTS, QUICK_PROMPTS = saturation.PROMPTS, saturation.QUICK_PROMPTS


def measure(
    prompts: int = PROMPTS, *, slots: int = 256, speed: float = 1.0, url: str = ""
) -> Report:
    """Answer prompts by each decoder on a simulator, or the server at a URL."""
    ways: dict[str, list[str]] = {decoder: ["--decoder", decoder] for decoder in DECODER_NAMES}
    return saturation.side_by_side(
        "decoders", "Decoders", "answer", ways, prompts=prompts, slots=slots, speed=speed, url=url
    )


if __name__ == "__main__":
    saturation.command("decoders", __doc__, measure)
