"""Beam metrics of the stages, and the account of engine use that the manifest keeps."""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.metrics.metric import Metrics

from spar_core.dataset import Settled
from spar_core.engine.meter import Usage

NAMESPACE = "spar"


def account(usage: Usage) -> dict[str, float]:
    """Usage as the manifest keeps it: sums of it over a stage's commits are the stage's."""
    return {
        "requests": usage.requests,
        "retries": usage.retries,
        "replayed": usage.replayed,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "engine_s": round(usage.engine_s, 3),
        "latency_ms_sum": sum(usage.latencies_ms),
        "latency_ms_max": max(usage.latencies_ms, default=0),
        "slots_sum": sum(usage.slots),
        "slots_samples": len(usage.slots),
        "replayed_prompt_tokens": usage.replayed_prompt_tokens,
        "replayed_completion_tokens": usage.replayed_completion_tokens,
    }


def report(stage: str, settled: Sequence[Settled], usage: Usage) -> None:
    """Add what was committed and used to the pipeline's metrics, named `<stage>/<metric>`."""
    for name in ("requests", "retries", "replayed", "prompt_tokens", "completion_tokens"):
        Metrics.counter(NAMESPACE, f"{stage}/{name}").inc(getattr(usage, name))
    for latency in usage.latencies_ms:
        Metrics.distribution(NAMESPACE, f"{stage}/latency_ms").update(latency)
    for slots in usage.slots:
        Metrics.distribution(NAMESPACE, f"{stage}/slots_in_use").update(slots)
    rows = [row for item in settled for some in item.rows.values() for row in some]
    counts = {
        "items": len(settled),
        "failures": sum("failures" in item.rows for item in settled),
        "unparsed_votes": sum(getattr(row, "unparsed_votes", 0) for row in rows),
        "malformed_refinements": sum(getattr(row, "malformed", 0) for row in rows),
    }
    for name, count in counts.items():
        Metrics.counter(NAMESPACE, f"{stage}/{name}").inc(count)
