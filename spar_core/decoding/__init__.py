"""Decoding: from a prompt to the best response that a budget buys (paper, section 2.3.2).

Every decoder has one signature. Each works on a `Growth`, which makes responses (`drafting`) and
asks for their judgement (`judging`), and leaves a `SearchTree`. A new one is a coroutine in a file
of its own and an entry below.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from spar_core.checked_judging import Task
from spar_core.decoding.best_of_n import best_of_n
from spar_core.decoding.breadth_first import breadth_first
from spar_core.decoding.depth_first import depth_first
from spar_core.decoding.drafting import Drafting
from spar_core.decoding.greedy import greedy
from spar_core.decoding.growth import Growth
from spar_core.decoding.iterative import iterative
from spar_core.decoding.judging import Judging
from spar_core.decoding.settings import SearchSettings, Strategy, Team
from spar_core.engine.protocol import Sampling
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import Judged

__all__ = ["DECODERS", "SearchSettings", "Strategy", "Team", "decode"]

DECODERS: dict[Strategy, Callable[[Growth], Coroutine[Any, Any, None]]] = {
    "greedy": greedy,
    "best_of_n": best_of_n,
    "iterative": iterative,
    "bfs": breadth_first,
    "dfs": depth_first,
}


async def decode(
    team: Team,
    task: Task,
    settings: SearchSettings,
    seed: int,
    *,
    root: tuple[str, Judged] | None = None,
    answering: Sampling | None = None,
) -> SearchTree:
    """Search for a response that passes, until one does or the bounds are reached.

    Args:
        root: a response and its judgement, to be refined. One that passes is the solution, and
            nothing is asked. Without a root the actor answers first; its answers are in the
            budget, and what they and their judgements cost is the tree's.
        answering: how the actor's answers are drawn.

    Raises:
        ItemError: a request of the search could not be answered.
        ValueError: there is neither a root nor an actor that could answer.
    """
    tree = SearchTree([TreeNode((), 0, root[0], "", root[1])] if root else [], is_rooted=bool(root))
    if tree.settle(tree.given):
        return tree
    drafting = Drafting(
        team, task.prompt, tree, seed, settings.sampling, answering, settings.constrained
    )
    judging = Judging(team.judge, task, settings.judge, seed)
    if root and settings.judge_once:
        judging.take(*root)
    await DECODERS[settings.strategy](Growth(tree, settings, drafting, judging))
    return tree
