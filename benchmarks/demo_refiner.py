"""The demo refiner on held-out prompts: does it judge as the program does, and mend what fails?

Prompts, seeds and topics of pipelines/demo/heldout.jsonl are in no training data. The actor answers
them; what it missed a program mends, wholly or all but one requirement. Of these texts as many
pass the program as fail. Beside the refiner the same model without its adapter, held to the wire
format by a grammar.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

from benchmarks import harness, report
from benchmarks.report import Report
from spar_core.checked_judging import Task
from spar_core.checks.strict import follows
from spar_core.decoding import SearchSettings, Team, decode
from spar_core.engine.bundled import bundled_adapter
from spar_core.engine.engines import Engines
from spar_core.engine.protocol import Engine, Sampling, seed_of
from spar_core.engine.spec import EngineSpec
from spar_core.preference import similarity
from spar_core.teaching.rules import lessons
from spar_core.voting import JudgeSettings, judge

HELD_OUT = harness.ROOT / "pipelines" / "demo" / "heldout.jsonl"
SLOTS = 32
QUICK_PROMPTS = 6

_EACH = 80
"""So many texts that pass, and as many that fail, are judged."""
_SPARED = 4
"""Without the adapter every fourth text will do."""

_JUDGING = Sampling(0.7, 1.0, 128)
_REFINING = Sampling(0.0, 1.0, 192)

Checks = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Text:
    """An answer to a prompt, and what the program says of it."""

    prompt: str
    checks: Checks
    response: str
    passes: bool


@dataclass(slots=True)
class Score:
    """Counts, by kind of constraint and in all ("")."""

    agreed: Counter[str]
    judged: Counter[str]
    mended: Counter[str]
    failing: Counter[str]
    likeness: list[float]


def measure(prompts: int | None = None, adapter: Path | None = None) -> Report:
    """Judge and refine with the adapter, and without it.

    Args:
        adapter: another one than the bundled.
    """
    machine = report.machine()
    adapter = adapter or bundled_adapter()
    with harness.folder() as folder:
        log = folder / "log"
        limit = [] if prompts is None else ["--limit", str(prompts)]
        given = ["--run", str(folder / "run"), "--prompts", str(HELD_OUT), "--responses", "1"]
        harness.run("sample", *given, *limit, log=log)
        answers = harness.query(
            folder / "run",
            "select prompt, checks, response, response_id from responses "
            "join prompts using (iteration, prompt_id) order by response_id",
        )
    failing, balanced = _texts(answers)
    plain = EngineSpec("llamacpp", slots=SLOTS)
    scores = {
        "without": _scored(plain, failing[::_SPARED], balanced[::_SPARED]),
        "with": _scored(
            EngineSpec("llamacpp", slots=SLOTS, adapter=str(adapter)), failing, balanced
        ),
    }
    return _report(scores, len(answers), machine)


def _texts(answers: Sequence[tuple[str, Checks, str, str]]) -> tuple[list[Text], list[Text]]:
    """The actor's failing answers; and as many texts that pass as fail, of all there are."""
    failing: list[Text] = []
    by_verdict: dict[bool, list[Text]] = {True: [], False: []}
    for prompt, checks, response, name in answers:
        if not response.strip():
            continue
        if not follows(checks, response):
            failing.append(Text(prompt, checks, response, False))
        for lesson in lessons(checks, response, seed_of(name), 0.0).learnt:
            if lesson.label:
                passes = lesson.label == "Yes"
                by_verdict[passes].append(Text(prompt, checks, lesson.response, passes))
    number = min(_EACH, *map(len, by_verdict.values()))
    drawn = [text for some in by_verdict.values() for text in Random(0).sample(some, number)]
    return failing, drawn


def _scored(spec: EngineSpec, failing: Sequence[Text], balanced: Sequence[Text]) -> Score:
    with _engine(spec) as (engines, engine):
        settings = JudgeSettings(_JUDGING, constrained=not spec.adapter, stop_votes=True)
        return engines.run(_score(engine, settings, failing, balanced))


@contextmanager
def _engine(spec: EngineSpec) -> Iterator[tuple[Engines, Engine]]:
    engines = Engines()
    try:
        with engines.using({"refiner": spec}) as lease:
            yield engines, lease.engines["refiner"]
    finally:
        engines.close()


async def _score(
    engine: Engine, settings: JudgeSettings, failing: Sequence[Text], balanced: Sequence[Text]
) -> Score:
    score = Score(Counter(), Counter(), Counter(), Counter(), [])
    search = SearchSettings(
        settings, _REFINING, strategy="greedy", constrained=settings.constrained
    )
    team = Team(refiner=engine, judge=engine)

    async def judged(number: int, text: Text) -> None:
        verdict = await judge(engine, text.prompt, text.response, settings, number)
        for kind in _kinds(text):
            score.judged[kind] += 1
            score.agreed[kind] += verdict.passed is text.passes

    async def refined(number: int, text: Text) -> None:
        root = await judge(engine, text.prompt, text.response, settings, number)
        tree = await decode(team, Task(text.prompt), search, number, root=(text.response, root))
        best = tree.nodes[-1].response
        missed = [c["id"] for c in text.checks if not follows([c], text.response)]
        is_mended = follows(text.checks, best) is True
        score.likeness += [similarity(text.response, best)] if is_mended else []
        for kind in ("", *missed):
            score.failing[kind] += 1
            score.mended[kind] += is_mended

    await asyncio.gather(*(judged(i, text) for i, text in enumerate(balanced)))
    await asyncio.gather(*(refined(i, text) for i, text in enumerate(failing)))
    return score


def _kinds(text: Text) -> list[str]:
    return ["", *(check["id"] for check in text.checks)]


def _report(scores: dict[str, Score], answers: int, machine: dict[str, object]) -> Report:
    before, after = scores["without"], scores["with"]
    kinds = sorted(after.judged, key=lambda kind: (kind != "", kind))
    rows = [
        [
            kind or "all",
            after.judged[kind],
            _share(before.agreed[kind], before.judged[kind]),
            _share(after.agreed[kind], after.judged[kind]),
            after.failing[kind],
            _share(before.mended[kind], before.failing[kind]),
            _share(after.mended[kind], after.failing[kind]),
        ]
        for kind in kinds
    ]
    likeness = sorted(after.likeness)
    middle = likeness[len(likeness) // 2] if likeness else 0.0
    return Report(
        name="demo_refiner",
        title="The demo refiner on held-out prompts",
        columns=(
            *("texts with", "judged", "agree, without", "agree, with"),
            *("failing answers", "mended, without", "mended, with"),
        ),
        rows=rows,
        figures=[
            (
                "demo refiner on held-out prompts: agrees with the program; mends failing answers; "
                "median similarity of these",
                f"{_share(after.agreed[''], after.judged[''])}; "
                f"{_share(after.mended[''], after.failing[''])}; {middle:.2f}",
                f"{after.judged['']} texts, half of which pass; {after.failing['']} answers",
            )
        ],
        data={
            "machine": machine,
            "answers": answers,
            **{name: _plain(score) for name, score in scores.items()},
        },
    )


def _plain(score: Score) -> dict[str, object]:
    """As JSON has it; `dataclasses.asdict` counts the pairs of a Counter instead."""
    return {each.name: getattr(score, each.name) for each in fields(score)}


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
