"""The writer that is a model: it draws up constraints, writes the prompt, and checks it.

Two requests a seed: one for the constraints and the prompt, which may refuse a main constraint
that contradicts the seed; one that looks for contradictions in what was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from spar_core.conversation import hashed
from spar_core.engine.protocol import ChatRequest, Engine, Message, Sampling, seed_of
from spar_core.evolution.evolved import Evolved
from spar_core.evolution.taxonomy import LENGTH, TYPES

ROUNDS = 3
"""How often at most a seed is written for: after a refusal with another main constraint, after an
answer off the format with the same."""

WRITE = """\
Turn a plain instruction into a more demanding one by adding constraints to it. The result must \
still ask for what the instruction asks for, must be possible to fulfil, and its constraints must \
not contradict the instruction or one another.

Instruction: {seed}

Main constraint: {main}
Further constraints, one of each:
{further}

If the main constraint contradicts the instruction or makes no sense for it, or if the \
instruction is about mathematics or programming, answer only
Refused: ...
with the reason. Otherwise make each constraint concrete, and answer in this form:
Constraints:
- ... (a line each, the main one first, those on length last)
Evolved Instruction: [[start]] ... [[end]]"""

CHECK = """\
Here is an instruction with constraints.

Instruction: {prompt}

Can one answer meet all of it, without contradiction between its parts? Explain in a sentence, \
then answer in this form:
Consistent: Yes or No"""

_PROMPT = re.compile(r"\[\[start\]\](.*?)\[\[end\]\]", re.DOTALL)
_CONSTRAINT = re.compile(r"^\s*[-*]\s+(.+?)\s*$", re.MULTILINE)
_REFUSED = re.compile(r"^\W*Refused\W*:\s*(.*)", re.MULTILINE)
_CONSISTENT = re.compile(r"Consistent\W*:\W*(Yes(?!\s+or\s+No\b)|No)\b", re.IGNORECASE)


@dataclass(slots=True)
class _Spent:
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def evolve(engine: Engine, seed: str, sampling: Sampling, more: int, draws: int) -> Evolved:
    """A prompt for a seed, written and checked by a model.

    Args:
        more: at most so many constraints beside the main one. draws: seed of what is drawn.
    """
    rng, spent = Random(draws), _Spent()
    mains = rng.sample(list(TYPES), len(TYPES))
    further = _further(mains[0], more, rng)
    refused: list[str] = []
    last = Evolved(dropped="off_format", why="no answer could be read")
    for attempt in range(ROUNDS):
        main = mains[len(refused)]
        others = [kind for kind in further if kind != main]
        text = await _ask(
            engine,
            _write(seed, main, others),
            sampling,
            seed_of(draws, "write", attempt),
            spent,
        )
        prompt = _PROMPT.search(text)
        refusal = _REFUSED.search(text, 0, prompt.start() if prompt else len(text))
        if refusal:
            refused.append(main)
            last = Evolved(dropped="refused", why=refusal[1].strip()[:200])
        elif prompt and prompt[1].strip():
            written = Evolved(
                main=main,
                further=tuple(others),
                constraints=tuple(_CONSTRAINT.findall(text[: prompt.start()])),
                prompt=prompt[1].strip(),
            )
            last = await _checked(engine, written, sampling, seed_of(draws, "check"), spent)
            break
        else:
            last = Evolved(main=main, dropped="off_format", why=_shown(text))
    return replace(
        last,
        refused=tuple(refused),
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
    )


def fingerprint() -> str:
    """Changes when what is said to the model changes."""
    return hashed(WRITE, CHECK, *(_described(kind) for kind in TYPES))


async def _checked(
    engine: Engine, written: Evolved, sampling: Sampling, seed: int, spent: _Spent
) -> Evolved:
    content = CHECK.replace("{prompt}", written.prompt or "")
    text = await _ask(engine, content, replace(sampling, temperature=0.0), seed, spent)
    verdicts = _CONSISTENT.findall(text)
    if not verdicts:
        return replace(written, dropped="unchecked", why=_shown(text))
    if verdicts[-1].lower() == "yes":
        return replace(written, verdict="consistent")
    return replace(written, verdict="contradictory", dropped="contradictory", why=_shown(text))


async def _ask(engine: Engine, content: str, sampling: Sampling, seed: int, spent: _Spent) -> str:
    message: Message = {"role": "user", "content": content}
    answer = await engine.chat(ChatRequest(messages=(message,), sampling=sampling, seed=seed))
    spent.prompt_tokens += answer.prompt_tokens
    spent.completion_tokens += answer.completion_tokens
    return answer.choices[0].text


def _further(main: str, more: int, rng: Random) -> list[str]:
    """The types beside the main one, those on length last."""
    others = [kind for kind in TYPES if kind != main]
    most = min(more, len(others))
    drawn = rng.sample(others, rng.randint(min(1, most), most))
    return sorted(drawn, key=lambda kind: kind == LENGTH)


def _write(seed: str, main: str, further: Sequence[str]) -> str:
    filled = {
        "seed": seed.strip(),
        "main": _described(main),
        "further": "\n".join(f"- {_described(kind)}" for kind in further) or "- none",
    }
    return re.sub(r"\{(\w+)\}", lambda m: filled[m[1]], WRITE)


def _described(kind: str) -> str:
    return f"{kind} ({TYPES[kind]})"


def _shown(text: str) -> str:
    return " ".join(text.split())[:200]
