"""Greedy: one response at temperature 0, and no search."""

from __future__ import annotations

from dataclasses import replace

from spar_core.decoding.growth import Growth
from spar_core.engine.protocol import Sampling


async def greedy(growth: Growth) -> None:
    """Refine the root once, or answer once.

    A refinement is judged: whether it passes decides if it is of use. An answer is the result
    whatever a judge would say of it, so none is asked, and the tree is unsolved.
    """
    drafting = growth.drafting
    growth.drafting = replace(
        drafting,
        refining=_greedy(drafting.refining),
        answering=drafting.answering and _greedy(drafting.answering),
        rounds=1,  # asked again at temperature 0 a model says the same
    )
    roots = await growth.roots(judged=False)
    if growth.tree.given:
        growth.tree.settle(await growth.refine(roots, branch=1))


def _greedy(sampling: Sampling) -> Sampling:
    return replace(sampling, temperature=0.0)
