"""Best-of-N: N responses side by side, all judged; the best value wins."""

from __future__ import annotations

from spar_core.decoding.growth import Growth


async def best_of_n(growth: Growth) -> None:
    """Draw N answers; of a root that is given, N refinements."""
    if growth.tree.given:
        growth.tree.settle(await growth.refine(growth.tree.given, branch=growth.left))
    else:
        growth.tree.settle(await growth.roots(max(1, growth.left)))
