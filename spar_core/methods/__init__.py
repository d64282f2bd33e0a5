"""Ways to make training data, a file each: its own steps, and the list of its stages."""

from __future__ import annotations

from typing import Any

from schemas.table import SPAR
from spar_core.methods import (
    autoif,
    humpback,
    independent,
    meta_rewarding,
    self_refine,
    self_rewarding,
    spar,
)
from spar_core.stage import Stage

METHODS: dict[str, tuple[Stage[Any], ...]] = {
    SPAR: spar.STAGES,
    independent.METHOD: independent.STAGES,
    self_rewarding.METHOD: self_rewarding.STAGES,
    meta_rewarding.METHOD: meta_rewarding.STAGES,
    self_refine.METHOD: self_refine.STAGES,
    humpback.METHOD: humpback.STAGES,
    autoif.METHOD: autoif.STAGES,
}
"""The stages of a data round by the method's name, as `pairs.method` has it."""
