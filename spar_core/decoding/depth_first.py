"""Depth-first tree search: the best child is refined first, then the next best."""

from __future__ import annotations

from spar_core.decoding.growth import Growth
from spar_core.tree import ranked


async def depth_first(growth: Growth) -> None:
    """Search until one of a node's children passes: the best of them is the solution."""
    bounds = growth.settings
    stack = await growth.roots()
    if growth.tree.settle(stack):
        return
    while stack:
        node = stack.pop()
        if node.depth >= bounds.depth:
            continue
        children = await growth.refine([node])
        if growth.tree.settle(children):
            return
        stack.extend(reversed(ranked(children)[: bounds.keep]))
