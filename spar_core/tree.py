"""Search trees: nodes are responses, edges are refinements."""

from __future__ import annotations

from dataclasses import dataclass, field

from spar_core.voting import Judged


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A judged response; `path` leads from the root to it by child numbers, () is the root.

    Tokens are of the refinement alone; those of the judgement stand in `judged`.
    """

    path: tuple[int, ...]
    order: int
    response: str
    reflection: str
    judged: Judged
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def depth(self) -> int:
        return len(self.path)

    @property
    def score(self) -> float:
        """The value that nodes are ranked by; without a verdict it is 0."""
        if self.judged.verdict in ("no_quorum", "unjudged"):
            return 0.0
        return self.judged.value or 0.0


@dataclass(slots=True)
class SearchTree:
    """A tree as far as it has grown; nodes in the order they were made, the root first.

    malformed: refinements asked for whose text held no refined output, with their tokens.
    """

    nodes: list[TreeNode]
    malformed: int = 0
    malformed_prompt_tokens: int = 0
    malformed_completion_tokens: int = 0
    solution: TreeNode | None = field(default=None)

    @property
    def root(self) -> TreeNode:
        return self.nodes[0]

    @property
    def refinements(self) -> int:
        return len(self.nodes) - 1

    @property
    def chosen(self) -> TreeNode:
        """The solution, else the best node found; of equals the first."""
        return self.solution or max(self.nodes, key=lambda node: (node.score, -node.order))

    @property
    def prompt_tokens(self) -> int:
        spent = sum(node.prompt_tokens + node.judged.prompt_tokens for node in self.nodes[1:])
        return spent + self.malformed_prompt_tokens

    @property
    def completion_tokens(self) -> int:
        spent = sum(
            node.completion_tokens + node.judged.completion_tokens for node in self.nodes[1:]
        )
        return spent + self.malformed_completion_tokens
