"""How models, figures and differences are written in the page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from inspection.reproduction import contract
from inspection.reproduction.contract import (
    BASE,
    BOOTSTRAP,
    DECIDE,
    GREEDY_TREES,
    INDEPENDENT,
    META_REWARDING,
    ONE_ROUND,
    REPORT,
    SELF_REWARDING,
    SPAR,
    VETO,
)
from inspection.reproduction.figures import Paired, Pooled

NONE = "–"

LINES = {
    BASE: "base model",
    BOOTSTRAP: "bootstrap model",
    SPAR: "SPaR",
    SELF_REWARDING: "Self-Rewarding",
    META_REWARDING: "Meta-Rewarding",
    INDEPENDENT: "independent pairs",
    GREEDY_TREES: "one greedy refinement",
    ONE_ROUND: "all prompts in one round",
    REPORT: "SPaR with report",
    VETO: "SPaR with veto",
    DECIDE: "SPaR with decide",
}
"""What the lines are called, in the order of their rows."""

MEASURES = {
    contract.TAUGHT: "taught kinds",
    contract.UNSEEN: "unseen kinds",
    contract.IFEVAL: "IFEval average",
}
"""What the measures of instruction following are called, in the order of their columns."""


DECODERS = {
    "greedy": "greedy",
    "best_of_n": "best of N",
    "iterative": "iterative refinement",
    "bfs": "tree search, breadth first",
    "dfs": "tree search, depth first",
}
"""What the decoders are called."""


def model(line: str, iteration: int) -> str:
    """Return what a model is called: its line, and the iteration that made it."""
    name = LINES.get(line, line)
    return name if line in (BASE, BOOTSTRAP) else f"{name}, iteration {iteration}"


def spoken(line: str, iteration: int) -> str:
    """Return what a model is called in a sentence."""
    name = LINES.get(line, line)
    return f"the {name}" if line in (BASE, BOOTSTRAP) else f"{name} after iteration {iteration}"


def in_order(lines: Sequence[str]) -> list[str]:
    """Return lines in the order of their rows, unknown ones last."""
    known = list(LINES)
    return sorted(
        set(lines), key=lambda line: (known.index(line) if line in LINES else len(known), line)
    )


def score(found: Pooled | None, seeds: int = 1) -> str:
    """Return a figure in percent, `41.2 [37.1, 45.2] ± 1.3`.

    Args:
        seeds: how many seeds there are; a figure of fewer says so.
    """
    return _figure(found, seeds, "")


def signed_score(found: Pooled | None, seeds: int = 1) -> str:
    """Return a figure that may be below zero, in points with its sign."""
    return _figure(found, seeds, "+")


def _figure(found: Pooled | None, seeds: int, sign: str) -> str:
    if found is None:
        return NONE
    low, high = number(found.low, sign), number(found.high, sign)
    text = f"{number(found.value, sign)} [{low}, {high}]"
    if found.spread is not None:
        text += f" ± {number(found.spread)}"
    if len(found.by_seed) < seeds:
        text += f" ({counted(len(found.by_seed), 'seed')})"
    return text


def difference(found: Paired | None) -> str:
    """Return a difference in points, `+2.0 [+0.3, +3.7], p = 0.021`."""
    if found is None:
        return NONE
    low, high = number(found.low, "+"), number(found.high, "+")
    return f"{number(found.value, '+')} [{low}, {high}], {chance(found.p)}"


def seed_differences(found: Paired) -> str:
    """Return the differences of single seeds, `seed 1 +2.1, seed 2 +1.9`."""
    return ", ".join(
        f"seed {seed} {number(value, '+')}" for seed, value in sorted(found.by_seed.items())
    )


def number(share: float, sign: str = "") -> str:
    """Return a share as a percentage with one decimal; never `-0.0`."""
    return f"{round(100 * share, 1) + 0.0:{sign}.1f}"


def chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def published(value: float | None, sign: str = "") -> str:
    """Return a figure of the paper, which is in percent already."""
    return NONE if value is None else f"{value:{sign}.1f}"


def perplexity(by_seed: Mapping[int, float]) -> str:
    """Return the mean perplexity over seeds, with their standard deviation."""
    values = list(by_seed.values())
    if not values:
        return NONE
    text = f"{statistics.fmean(values):,.2f}"
    return f"{text} ± {statistics.stdev(values):.2f}" if len(values) > 1 else text


def perplexity_change(before: Mapping[int, float], after: Mapping[int, float]) -> str:
    """Return by how many percent the mean perplexity rose."""
    if not before or not after:
        return NONE
    grown = statistics.fmean(after.values()) / statistics.fmean(before.values()) - 1
    return f"{number(grown, '+')} %"
