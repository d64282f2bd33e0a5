"""Iterative refinement: judge, refine the last response, until one passes or there are N."""

from __future__ import annotations

from spar_core.decoding.growth import Growth


async def iterative(growth: Growth) -> None:
    last = await growth.roots()
    while last and not growth.tree.settle(last):
        last = await growth.refine(last, branch=1)
