"""The paper's figures (SPaR, arXiv 2412.11605, LLaMA3-8B-Instruct), in percent.

Rows are named as here: line and iteration. The bootstrap model is the paper's SFT model.
"""

from __future__ import annotations

from typing import NamedTuple

from inspection.reproduction.contract import (
    BASE,
    BOOTSTRAP,
    GREEDY_TREES,
    INDEPENDENT,
    ONE_ROUND,
    SPAR,
)


class Following(NamedTuple):
    """How well a model follows instructions (Table 1)."""

    ifeval: float
    followbench: float


FOLLOWING = {
    (BASE, 0): Following(77.9, 63.5),
    (BOOTSTRAP, 0): Following(78.0, 66.8),
    (SPAR, 1): Following(80.3, 67.5),
    (SPAR, 2): Following(81.1, 68.2),
    (SPAR, 3): Following(81.8, 68.8),
}
"""Table 1: average of IFEval, SSR of FollowBench."""

SEARCHED = Following(83.7, 69.4)
"""Table 1: iteration 3 with tree search at inference."""


class Judging(NamedTuple):
    """Accuracy of the refiner as a judge (Table 2)."""

    natural: float
    adversarial: float


JUDGING = {
    (BASE, 0): Judging(60.0, 52.2),
    (BOOTSTRAP, 0): Judging(68.5, 64.7),
    (SPAR, 1): Judging(68.5, 64.9),
    (SPAR, 2): Judging(70.5, 66.8),
    (SPAR, 3): Judging(70.5, 67.8),
}
"""Table 2: LLMBar, natural and adversarial."""


class Ablated(NamedTuple):
    """What leaving out a part of the method changes (Table 4)."""

    prompts_strict: float
    instructions_strict: float
    followbench: float


ABLATIONS = {
    GREEDY_TREES: Ablated(-2.0, -0.8, -1.7),
    ONE_ROUND: Ablated(-0.9, -0.2, -2.0),
    INDEPENDENT: Ablated(-2.6, -1.6, -3.1),
}
"""Table 4: IFEval P(S) and I(S), FollowBench; in points, against the full method."""


class Refining(NamedTuple):
    """Share of refinements that are right (Table 5)."""

    by_other: float
    by_itself: float


REFINING = {(SPAR, 3): Refining(79.0, 90.5)}
"""Table 5: iteration 3, by GPT-4o and by the refiner itself."""
