"""Search trees: nodes are responses, edges are refinements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spar_core.voting import Judged


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A judged response; `path` leads from the root to it by child numbers, () is the root.

    Tokens are of the response alone; those of the judgement stand in `judged`.
    answer: tells the actor's answers apart where a tree begins with several (best-of-N): all of
        them have depth 0.
    reasoning: what the model thought before it wrote the response; "" for nothing.
    """

    path: tuple[int, ...]
    order: int
    response: str
    reflection: str
    judged: Judged
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: int = 0
    reasoning: str = ""

    @property
    def depth(self) -> int:
        return len(self.path)

    @property
    def score(self) -> float:
        """The share of Yes among the votes that were read, however few; 0 where none was."""
        return self.judged.value or 0.0

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """Sorts nodes best first: what passes, then by the share of checks met where checks count,
        then by value; of equals the one made first.

        A verdict comes before a value: three votes of five that passed beat two that all said Yes.
        """
        checks_met = self.judged.checks_met or 0.0
        return (not self.judged.passed, -checks_met, -self.score, self.order)


def ranked(nodes: Sequence[TreeNode]) -> list[TreeNode]:
    """Best first."""
    return sorted(nodes, key=lambda node: node.rank)


@dataclass(slots=True)
class SearchTree:
    """A tree as far as it has grown; nodes in the order they were made, the root first.

    malformed: refinements asked for whose text held no refined output, with their tokens.
    is_rooted: whether the root was there before the search, which then did not pay for it. Where
        it was not the search made its root, or several (see `TreeNode.answer`).
    """

    nodes: list[TreeNode]
    malformed: int = 0
    malformed_prompt_tokens: int = 0
    malformed_completion_tokens: int = 0
    solution: TreeNode | None = field(default=None)
    is_rooted: bool = True

    @property
    def root(self) -> TreeNode:
        return self.nodes[0]

    @property
    def given(self) -> list[TreeNode]:
        """The root where it was there before the search, else nothing."""
        return self.nodes[: int(self.is_rooted)]

    @property
    def made(self) -> int:
        """How many responses the search made that could be read."""
        return len(self.nodes) - len(self.given)

    @property
    def written(self) -> int:
        """How many responses the search had written, those that could not be read among them."""
        return self.made + self.malformed

    @property
    def refinements(self) -> int:
        return sum(node.depth > 0 for node in self.nodes)

    @property
    def chosen(self) -> TreeNode:
        """The solution, else the best node found; of equals the first."""
        return self.solution or ranked(self.nodes)[0]

    @property
    def prompt_tokens(self) -> int:
        paid = self.nodes[len(self.given) :]
        spent = sum(node.prompt_tokens + node.judged.prompt_tokens for node in paid)
        return spent + self.malformed_prompt_tokens

    @property
    def completion_tokens(self) -> int:
        paid = self.nodes[len(self.given) :]
        spent = sum(node.completion_tokens + node.judged.completion_tokens for node in paid)
        return spent + self.malformed_completion_tokens

    def settle(self, nodes: Sequence[TreeNode]) -> bool:
        """Take the best of the nodes that pass for the solution; False where none does."""
        best = min(nodes, key=lambda node: node.rank, default=None)
        if best is None or not best.judged.passed:
            return False
        self.solution = best
        return True
