"""Writers: who makes prompts of seeds, and the stages of each."""

from __future__ import annotations

from typing import Any

from spar_core.evolution import rules
from spar_core.stage import Stage
from spar_core.stages import self_instruct
from spar_core.stages.evolve import EVOLVE_BY_ENGINE, EVOLVE_BY_RULES, selecting

WRITERS: dict[str, tuple[Stage[Any], ...]] = {
    rules.NAME: (EVOLVE_BY_RULES, selecting(EVOLVE_BY_RULES)),
    "engine": (EVOLVE_BY_ENGINE, selecting(EVOLVE_BY_ENGINE)),
    "self_instruct": self_instruct.STAGES,
}
"""The stages of evolving by the kind of writer."""
