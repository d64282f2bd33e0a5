"""Drawing constraints for a seed: one main constraint, one to three more, length last.

The paper's way to complex prompts (arXiv 2412.11605, appendix), with constraints that a program
can check and wordings of our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from spar_core.constraints import go_together
from spar_core.constraints.kind import Arguments, Kind, said
from spar_core.constraints.sentences import ended

MORE = 3
"""Constraints beside the main one, at most."""

_WORD_FOR_WORD = ("keywords", "keyword", "first_word", "end_phrase", "prompt_to_repeat")
"""Arguments that stand in every answer as they are."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a prompt: its kind, what the checker is given, and how the prompt says it."""

    kind: Kind
    arguments: Arguments
    text: str


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn for a seed; `main` is None where every kind contradicts it.

    refused: main constraints that were drawn and contradict the seed, by their ids.
    """

    main: Constraint | None
    further: tuple[Constraint, ...]
    refused: tuple[str, ...]

    @property
    def constraints(self) -> list[Constraint]:
        """As the prompt says them: constraints on length come last."""
        drawn = [*([self.main] if self.main else []), *self.further]
        return sorted(drawn, key=lambda each: each.kind.type == "length")


def draw(seed: str, rng: Random, kinds: Sequence[Kind], more: int = MORE) -> Draw:
    """Draw constraints for a seed; those that contradict it or one another are passed over.

    Args:
        more: at most so many beside the main one; at least one where any goes with it.
    """
    order = rng.sample(list(kinds), len(kinds))
    at = next((i for i, kind in enumerate(order) if not contradicts(kind, seed)), len(order))
    refused = tuple(kind.id for kind in order[:at])
    if at == len(order):
        return Draw(None, (), refused)
    wanted = rng.randint(min(1, more), more)
    main = _drawn(order[at], seed, rng)
    further: list[Constraint] = []
    for kind in order[at + 1 :]:
        if len(further) == wanted:
            break
        chosen = (main, *further)
        if contradicts(kind, seed) or not all(go_together(kind, each.kind) for each in chosen):
            continue
        drawn = _drawn(kind, seed, rng)
        if not any(_clash(drawn, each) or _clash(each, drawn) for each in chosen):
            further.append(drawn)
    return Draw(main, tuple(further), refused)


def contradicts(kind: Kind, seed: str) -> bool:
    """Whether a seed speaks of what the kind is about: then it asks for it, or for its contrary."""
    return bool(kind.spoken_of and kind.spoken_of.search(seed))


def _clash(one: Constraint, other: Constraint) -> bool:
    """Whether what one wants word for word is what the other forbids, or too long for it."""
    given = other.arguments
    if "forbidden_words" not in given and given.get("relation") != "less than":
        return False
    wanted = [one.arguments[name] for name in _WORD_FOR_WORD if name in one.arguments]
    texts = [" ".join(text) if isinstance(text, list) else str(text) for text in wanted]
    return any(not other.kind.look(given, text).met for text in texts)


def written(seed: str, constraints: Sequence[Constraint]) -> str:
    """The prompt: the seed, and its constraints as sentences."""
    text = ended(seed.strip())
    return (" " if "\n" not in text else "\n\n").join(
        [text, " ".join(each.text for each in constraints)]
    )


def _drawn(kind: Kind, seed: str, rng: Random) -> Constraint:
    arguments = kind.draw(rng, seed)
    return Constraint(kind, arguments, said(kind.states, arguments, rng))
