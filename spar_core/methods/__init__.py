"""Ways to make training data, a file each: its own steps, and the list of its stages."""

from __future__ import annotations

from typing import Any

from schemas.table import SPAR
from spar_core.methods import independent, spar
from spar_core.stage import Stage

METHODS: dict[str, tuple[Stage[Any], ...]] = {
    SPAR: spar.STAGES,
    independent.METHOD: independent.STAGES,
}
"""The stages of a data round by the method's name, as `pairs.method` has it."""
