"""What FollowBench's judge is asked, and what is read from its answer."""

from __future__ import annotations

import re
from dataclasses import replace

from evaluation.benchmark import Finding, details
from evaluation.benchmarks.followbench.rules import rule_of
from schemas.items import Item
from spar_core.conversation import Vote, hashed
from spar_core.engine.protocol import ChatRequest, Engine
from spar_core.voting import Ballot, Judged, JudgeSettings, count

JUDGE = """\
An instruction was made harder step by step. Every step states the instruction anew with one more \
{kind}. Below stand all steps and an answer to the last one.

{steps}

### Answer to the last step
{answer}
### End of the answer

What each step added is one constraint, {level} in all. Say in a line for each of them what it is \
and whether the answer meets it; a constraint that is met in part is missed. Then end with one \
line that holds nothing but a JSON list: "YES" (met) or "NO" (missed) for each step in their \
order, {level} in all."""

_LIST = re.compile(r"[*_\s]*+(?:[\w ]++:)?[*_\s]*+\[([^\[\]]*)\][*_.\s]*")
_MISSED = {"NO", "PARTIAL", "PARTIALLY", "MAYBE", "UNKNOWN", "N/A", "NA"}

_KINDS = {
    "situation": "situation constraint (a background or circumstances to reckon with)",
    "mixed": "constraint",
}
_NO_START = "(There is none: step 1 states the instruction for the first time.)"


async def grade(
    engine: Engine, settings: JudgeSettings, item: Item, answer: str, seed: int
) -> list[Finding]:
    """The judge's majority on each constraint; nothing where a rule decides.

    All votes come of one request: `stop_votes` does not apply, nor does `constrained`, whose
    grammar is that of the refiner's judgements. The tokens stand on the first finding.
    """
    if rule_of(item) is not None:
        return []
    level = item.level or 0
    said = await engine.chat(
        ChatRequest(
            messages=({"role": "user", "content": question(item, answer)},),
            sampling=settings.sampling,
            n=settings.votes,
            seed=seed,
        )
    )
    votes = [(choice, read_list(choice.text, level)) for choice in said.choices]
    findings = []
    for number in range(level):
        ballots = [
            Ballot(met[number] if met else None, choice.text, choice.finish_reason)
            for choice, met in votes
        ]
        judged = count(ballots, settings.quorum)
        value = {"yes": 1.0, "no": 0.0}.get(judged.verdict)
        findings.append(Finding("met", value, number, item.category, _critique(judged)))
    findings[0] = replace(
        findings[0], prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens
    )
    return findings


def fingerprint() -> str:
    """Changes when what is said to the judge changes."""
    return hashed(JUDGE, *_KINDS.values(), _NO_START)


def question(item: Item, answer: str) -> str:
    """What the judge is asked: the whole path of instructions, and the answer to the last."""
    path: list[str] = [*details(item)["path"], item.prompt]
    start, steps = path[0], path[1:]
    shown = [f"### Instruction at the start\n{start.strip() or _NO_START}"]
    shown += [f"### Step {number}\n{step}" for number, step in enumerate(steps, 1)]
    category = item.category or ""
    kind = _KINDS.get(category, f"{category} constraint")
    return JUDGE.format(kind=kind, steps="\n\n".join(shown), answer=answer, level=item.level)


def read_list(text: str, count: int) -> tuple[Vote, ...] | None:
    """The list in the last line of a judgement; None where there is none, or not of so many.

    Whatever is neither YES nor NO but says that it is not certain, such as PARTIAL, counts as
    missed, as the authors have it.
    """
    line = text.strip().strip("`").rstrip().rpartition("\n")[2]
    found = _LIST.fullmatch(line)
    said = [each.strip(" \t\"'*_").upper() for each in found[1].split(",")] if found else []
    if len(said) != count or not set(said) <= {"YES", *_MISSED}:
        return None
    return tuple("Yes" if each == "YES" else "No" for each in said)


def _critique(judged: Judged) -> str:
    """What a vote of the majority said; without one why, or what could not be read."""
    if judged.verdict == "tie":
        return f"tie: {judged.critique}"
    if judged.verdict == "no_quorum":
        unread = (ballot.text for ballot in judged.ballots if ballot.vote is None)
        return next(unread, f"no quorum: {judged.critique}")
    return judged.critique
