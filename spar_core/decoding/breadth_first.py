"""Breadth-first tree search: the best of a level are refined, level by level."""

from __future__ import annotations

from spar_core.decoding.growth import Growth
from spar_core.tree import ranked


async def breadth_first(growth: Growth) -> None:
    """Search until a level has a node that passes: its best is the solution."""
    bounds = growth.settings
    level = await growth.roots()
    while level and not growth.tree.settle(level) and level[0].depth < bounds.depth:
        level = await growth.refine(ranked(level)[: bounds.keep])
