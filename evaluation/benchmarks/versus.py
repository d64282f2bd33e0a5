"""Two models' answers to the same prompts, compared by a judge that is neither of them.

Every pair is shown in both orders, as judges favour a place (position bias). A pair's value is the
mean of its two verdicts: 1 where the new answer is preferred, 0 where the old one is, 0.5 for a
tie, so that a judge who only follows the order says 0.5. Judges favour length, too: beside the win
rate stands one in which answers that became longer and answers that did not count alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from evaluation.benchmark import BadData, Benchmark, Figure, Finding, Scored
from schemas.evaluations import Part, Unit
from schemas.items import Item
from spar_core.conversation import hashed
from spar_core.engine.protocol import ChatRequest, Engine
from spar_core.voting import JudgeSettings

NAME = "versus"

COMPARE = """\
Two assistants answered the same request. Decide which answer serves the user better: it does \
what the request asks for, keeps to every limit that the request sets, and is correct and clear. \
Neither the order of the two answers nor their length counts; an answer that is longer without \
need is not better.

### Request
{prompt}
### End of the request

### Answer A
{first}
### End of answer A

### Answer B
{second}
### End of answer B

Give your reasons in a few sentences. Then end with one line:
Better answer: <A, B or tie>"""

_SAID = re.compile(
    r"better\s+answer[\s*_]*[:：][\s*_<\[(\"]*(?:answer\s+)?(A|B|tie)\b(?!\s*(?:[,/]|or\b|and\b))",
    re.IGNORECASE,
)
_ORDERS = ("old answer first", "new answer first")
_FEWEST = 5
"""Fewer answers of a kind, longer or not longer, are no ground for a figure of their own."""


async def grade(
    engine: Engine, settings: JudgeSettings, item: Item, response: str, seed: int
) -> list[Finding]:
    """Return the judge's verdict in each order: 1 for the new answer, 0 for the old, 0.5 for a tie.

    Equal answers are a tie that nobody is asked about. A verdict is one answer at temperature 0.
    """
    old = item.given or ""
    if old == response:
        return [Finding("preferred", 0.5, n, each, "equal") for n, each in enumerate(_ORDERS)]
    found = []
    for number, (first, second) in enumerate(((old, response), (response, old))):
        text = COMPARE.format(prompt=item.prompt, first=first, second=second)
        said = await engine.chat(
            ChatRequest(
                messages=({"role": "user", "content": text},),
                sampling=replace(settings.sampling, temperature=0.0, top_p=1.0),
                seed=seed,
            )
        )
        answer = said.choices[0].text
        value = read_verdict(answer)
        if value is not None and number == 1:
            value = 1.0 - value
        tokens = said.prompt_tokens, said.completion_tokens
        found.append(Finding("preferred", value, number, _ORDERS[number], answer, *tokens))
    lengths = len(response) - len(old)
    return [*found, Finding("longer", float((lengths > 0) - (lengths < 0)))]


def read_verdict(text: str) -> float | None:
    """Return 0 for the first answer, 1 for the second, 0.5 for a tie; None where none is named."""
    said: list[str] = _SAID.findall(text)
    return {"a": 0.0, "b": 1.0, "tie": 0.5}[said[-1].lower()] if said else None


def fingerprint() -> str:
    """Return a hash of what is said to the judge."""
    return hashed(COMPARE)


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """Return the win rate of the new answers, and how far the judge follows order and length.

    win_rate: the mean value of the pairs, a tie counting half.
    win_rate_length_controlled: the mean of the win rates among answers that are longer than the old
        ones and among the others; left out where either are fewer than 5.
    prefers_first, prefers_longer: of the verdicts that are no tie, the shares that are for the
        answer shown first, and for the longer one; 0.5 is no bias, though the longer answers may
        well be better.
    """
    pairs = [(each.item.item_id, marks) for each in scored if (marks := _marks(each))]
    whole = [Unit(key, [Part(sum(marks[:2]) / 2, 1.0)]) for key, marks in pairs]
    found = [_figure("win_rate", whole, scored)]
    by_length = [Unit(key, _by_length(marks)) for key, marks in pairs]
    if all(sum(unit.parts[kind].under for unit in by_length) >= _FEWEST for kind in (0, 1)):
        found.append(_figure("win_rate_length_controlled", by_length, scored))
    for metric, part_of in (("prefers_first", _first), ("prefers_longer", _longer)):
        units = [Unit(key, [part]) for key, marks in pairs if (part := part_of(marks)).under]
        if units:
            found.append(Figure(metric, "", units, len(pairs), len(scored)))
    return found


_Marks = tuple[float, float, float]
"""The verdicts with the old answer first and with the new one first; the sign of the length."""


def _marks(scored: Scored) -> _Marks | None:
    values = {(each.metric, each.number): each.value for each in scored.findings}
    old_first, new_first = values.get(("preferred", 0)), values.get(("preferred", 1))
    if old_first is None or new_first is None:
        return None
    return old_first, new_first, values.get(("longer", None)) or 0.0


def _by_length(marks: _Marks) -> list[Part]:
    """Return the win among longer answers, and among others; equal lengths count half in each."""
    value, longer = sum(marks[:2]) / 2, (marks[2] + 1) / 2
    return [Part(value * share, share) for share in (longer, 1 - longer)]


def _first(marks: _Marks) -> Part:
    favours = (1.0 - marks[0], marks[1])
    decided = [value for value in favours if value != 0.5]
    return Part(sum(decided), float(len(decided)))


def _longer(marks: _Marks) -> Part:
    if not marks[2]:
        return Part(0.0, 0.0)
    decided = [value if marks[2] > 0 else 1.0 - value for value in marks[:2] if value != 0.5]
    return Part(sum(decided), float(len(decided)))


def _figure(metric: str, units: Sequence[Unit], scored: Sequence[Scored]) -> Figure:
    return Figure(metric, "", units, len(units), len(scored))


def _no_files(paths: Sequence[Path]) -> Iterator[Item]:
    raise BadData("--against ITERATION compares the answers of two evaluations of `custom`")


VERSUS = Benchmark(
    name=NAME,
    about="",
    files=(),
    read=_no_files,
    answers=None,
    grade=grade,
    asked=fingerprint(),
    figures=figures,
    scores_answers_to="custom",
)
