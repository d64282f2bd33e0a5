"""Growth: drafts are judged and become nodes of the tree, within its budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spar_core.decoding.drafting import Draft, Drafting
from spar_core.decoding.judging import Judging
from spar_core.decoding.settings import SearchSettings
from spar_core.decoding.tasks import all_of, unless
from spar_core.tree import SearchTree, TreeNode
from spar_core.voting import Judged


@dataclass(slots=True)
class Growth:
    """What a decoder is given: a tree, and the two ways in which it grows."""

    tree: SearchTree
    settings: SearchSettings
    drafting: Drafting
    judging: Judging

    @property
    def left(self) -> int:
        """How many responses the budget still allows."""
        tree = self.tree
        return self.settings.budget - (
            tree.written if self.settings.counts_malformed else tree.made
        )

    async def roots(self, count: int = 1, *, judged: bool = True) -> list[TreeNode]:
        """The root that was given, else so many answers of the actor."""
        if self.tree.given:
            return self.tree.given
        drafts = await self.drafting.answers(count)
        judgements = (
            await self._judge(drafts, self._signal())
            if judged
            else [await self.judging.unjudged(draft.response) for draft in drafts]
        )
        return [
            self._add((), draft, judgement, answer=number)
            for number, (draft, judgement) in enumerate(zip(drafts, judgements, strict=True))
        ]

    async def refine(
        self, parents: Sequence[TreeNode], branch: int | None = None
    ) -> list[TreeNode]:
        """The judged children of all parents; siblings and judgements are asked for at once.

        Args:
            branch: children of each parent (default: the settings'); fewer where the budget ends.
        """
        left = self.left
        shares = []
        for _ in parents:
            shares.append(min(self.settings.branch if branch is None else branch, left))
            left -= shares[-1]
        again = left // len(parents) if self.settings.counts_malformed and parents else None
        passed = self._signal()
        grown = await all_of(
            self._children(parent, share, again, passed)
            for parent, share in zip(parents, shares, strict=True)
            if share > 0
        )
        return [
            self._add((*parent.path, number), draft, judgement)
            for parent, siblings in zip(parents, grown, strict=False)
            for number, (draft, judgement) in enumerate(siblings)
        ]

    async def _children(
        self, parent: TreeNode, share: int, again: int | None, passed: asyncio.Event | None
    ) -> list[tuple[Draft, Judged]]:
        asking = self.drafting.refinements(parent, share, again)
        drafts = await unless(passed, asking) or []
        judgements = await self._judge(drafts, passed)
        return list(zip(drafts, judgements, strict=True))

    async def _judge(self, drafts: Sequence[Draft], passed: asyncio.Event | None) -> list[Judged]:
        return await all_of(self._judgement(draft, passed) for draft in drafts)

    async def _judgement(self, draft: Draft, passed: asyncio.Event | None) -> Judged:
        """The judgement of a draft: one that was cut off or is empty does not pass."""
        if draft.is_whole:
            return await self.judging.judgement(draft.response, passed)
        judged = await self.judging.judgement(draft.response, None)
        return replace(judged, outcome="no") if judged.passed else judged

    def _signal(self) -> asyncio.Event | None:
        """Set by the first response that passes, where that is to end a search."""
        return asyncio.Event() if self.settings.stop_level else None

    def _add(
        self, path: tuple[int, ...], draft: Draft, judged: Judged, answer: int = 0
    ) -> TreeNode:
        node = TreeNode(
            path=path,
            order=len(self.tree.nodes),
            response=draft.response,
            reflection=draft.reflection,
            judged=self.judging.paid(draft.response, judged),
            prompt_tokens=draft.prompt_tokens,
            completion_tokens=draft.completion_tokens,
            answer=answer,
            reasoning=draft.reasoning,
        )
        self.tree.nodes.append(node)
        return node
