"""Drafting: answers and refinements are asked for and read; nothing is judged here."""

from __future__ import annotations

from dataclasses import dataclass

from spar_core.chat import TextOrChat
from spar_core.conversation import actor_messages, read_refinement, refine_grammar, refine_messages
from spar_core.decoding.settings import Team
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Choice,
    PromptTooLong,
    Sampling,
    seed_of,
)
from spar_core.engine.reasoning import unanswered
from spar_core.tree import SearchTree, TreeNode

REFINE_ROUNDS = 3
"""How often refinements are asked for until all siblings have a readable one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A response that is not judged yet; the first of a request bears its prompt tokens.

    is_whole: whether it ended by itself and says something.
    reasoning: what the model thought before it; "" for nothing.
    """

    response: str
    reflection: str
    prompt_tokens: int
    completion_tokens: int
    is_whole: bool = True
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Drafting:
    """Writes the drafts of one tree, and counts in it the answers that were no refinement.

    refining: how refinements are drawn. answering: how the actor's answers are; None where a root
        is given.
    rounds: how often at most refinements are asked for of one node.
    """

    team: Team
    prompt: TextOrChat
    tree: SearchTree
    seed: int
    refining: Sampling
    answering: Sampling | None
    constrained: bool
    rounds: int = REFINE_ROUNDS

    async def answers(self, count: int) -> list[Draft]:
        """So many answers of the actor, by one request; fewer where some are only reasoning.

        The tree bears the tokens of these.

        Raises:
            CutWhileThinking, AnswerDiscarded: all of them are.
        """
        if self.team.actor is None or self.answering is None:
            raise ValueError(
                "without a root a search begins with answers: it needs an actor in the team, and "
                "`answering`, how its answers are drawn"
            )
        answer = await self.team.actor.chat(
            ChatRequest(
                messages=tuple(actor_messages(self.prompt)),
                sampling=self.answering,
                n=count,
                seed=seed_of(self.seed, "answer"),
            )
        )
        if error := unanswered(answer.choices):
            raise error
        drafts: list[Draft] = []
        for choice in answer.choices:
            if choice.has_only_reasoning:
                self._lose(choice)
                continue
            text = choice.text.strip()
            is_whole = bool(text) and not choice.is_cut
            unborne = 0 if drafts else answer.prompt_tokens
            drafts.append(Draft(text, "", unborne, choice.tokens, is_whole, choice.reasoning))
        return drafts

    async def refinements(
        self, parent: TreeNode, count: int, again: int | None = None
    ) -> list[Draft]:
        """Up to so many readable refinements; those missing are asked for again, in rounds.

        Args:
            again: how many may be asked for again in all; None for as many as are missing.

        Raises:
            PromptTooLong: of a root that was given. Any other node is a dead end then: what led to
                it is worth keeping.
        """
        drafts: list[Draft] = []
        left = count * self.rounds if again is None else count + again
        for attempt in range(self.rounds):
            wanted = min(count - len(drafts), left)
            if wanted <= 0:
                break
            left -= wanted
            try:
                answer = await self._ask(parent, wanted, attempt)
            except PromptTooLong:
                if parent.depth == 0 and self.tree.is_rooted:
                    raise
                break
            drafts += self._readable(answer)
        return drafts

    async def _ask(self, parent: TreeNode, count: int, attempt: int) -> ChatAnswer:
        messages = refine_messages(self.prompt, parent.response, parent.judged.critique)
        return await self.team.refiner.chat(
            ChatRequest(
                messages=tuple(messages),
                sampling=self.refining,
                n=count,
                seed=seed_of(self.seed, "refine", parent.path, attempt),
                grammar=refine_grammar(self.refining.max_tokens) if self.constrained else None,
            )
        )

    def _readable(self, answer: ChatAnswer) -> list[Draft]:
        """The refinements that can be read; the tree bears the tokens of what cannot."""
        drafts: list[Draft] = []
        unborne = answer.prompt_tokens
        for choice in answer.choices:
            refinement = read_refinement(choice.text)
            if refinement is None:
                self._lose(choice)
            else:
                drafts.append(
                    Draft(
                        refinement.response,
                        refinement.reflection,
                        unborne,
                        choice.tokens,
                        reasoning=choice.reasoning,
                    )
                )
                unborne = 0
        self.tree.malformed_prompt_tokens += unborne
        return drafts

    def _lose(self, choice: Choice) -> None:
        """Count an answer that gives no draft."""
        self.tree.malformed += 1
        self.tree.malformed_completion_tokens += choice.tokens
