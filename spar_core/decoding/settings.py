"""What a decoder works with: its engines and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spar_core.engine.protocol import Engine, Sampling
from spar_core.voting import JudgeSettings

Strategy = Literal["greedy", "best_of_n", "iterative", "bfs", "dfs"]


@dataclass(frozen=True, slots=True)
class Team:
    """The engines of a search; one engine may stand in several places.

    actor: gives the first answer; needed only where no root is given.
    """

    refiner: Engine
    judge: Engine
    actor: Engine | None = None


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The bounds of a search.

    branch, keep, depth: of trees (BFS, DFS) alone. keep: how many nodes go on: of a level (BFS) or
        of a node's children (DFS).
    budget: responses that may be made for a tree in all: refinements, and the actor's answers where
        no root is given. It is the N of best-of-N and of iterative refinement.
    counts_malformed: whether the budget counts refinements that cannot be read. So it must where
        decoders of one budget are compared: else one whose refiner writes such has more tries. A
        tree of training data does not count them, as in the authors' code: there they are asked
        for again until the tree has its shape.
    constrained: whether a grammar holds refinements to the wire format.
    stop_level: whether the first response that passes ends the search, the judgements of those
        made with it given up; else the best of them is waited for.
    judge_once: whether a refinement that equals the given root takes over its judgement; equal
        refinements of a tree are judged once anyway.
    """

    judge: JudgeSettings
    sampling: Sampling
    strategy: Strategy = "bfs"
    branch: int = 3
    keep: int = 2
    depth: int = 3
    budget: int = 15
    constrained: bool = False
    stop_level: bool = False
    judge_once: bool = False
    counts_malformed: bool = False
