"""Methods of making training data as tables know them: the stages that each is made of."""

from __future__ import annotations

from collections import Counter

from schemas.table import SPAR

STAGES: dict[str, tuple[str, ...]] = {
    SPAR: ("sample", "judge", "tree_search", "pairs", "rft"),
    "independent": ("sample", "judge", "independent"),
    "self_rewarding": ("sample", "rate", "self_rewarding"),
    "meta_rewarding": ("sample", "rate", "meta_rewarding", "meta_judge", "judge_pairs"),
    "self": ("sample", "judge", "self"),
    "humpback": ("backtranslate", "curate"),
    "autoif": ("sample", "verifiers", "verify", "relevance", "autoif"),
}
"""The stages by the method's name: what they ask of engines is what the method costs.

Those of `spar_core.methods`, which a test holds against these.
"""

_USES = Counter(stage for stages in STAGES.values() for stage in stages)

SHARED = frozenset(stage for stage, uses in _USES.items() if uses > 1)
"""Stages that several methods have: done once, and counted for each of them."""


def listed() -> str:
    """The stages as rows of SQL values: method, stage, whether others have it too."""
    rows = (
        f"('{method}', '{stage}', {stage in SHARED})"
        for method, stages in STAGES.items()
        for stage in stages
    )
    return ", ".join(rows)
