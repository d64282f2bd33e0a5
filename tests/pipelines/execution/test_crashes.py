"""A crash at every moment of every stage: what was committed counts, and all is done once."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines import evaluate
from pipelines.execution.options import Job, Stages, all_stages, parse
from pipelines.execution.parts import Claimed
from pipelines.execution.plan import items
from pipelines.execution.session import Session
from schemas.entries import Entry
from schemas.manifest import folder
from schemas.responses import WHOLE
from spar_core.dataset import Dataset
from spar_core.engine.protocol import ChatRequest
from spar_core.methods import METHODS
from spar_core.preference import RFT_CAPS
from spar_core.stages import rft
from spar_core.stages.decode import ANSWERERS
from spar_core.stages.teach import TEACHERS
from spar_core.stages.writers import WRITERS
from terminal.console import Console
from tests.loopback import round_script
from tests.pipelines import test_evaluate_resume
from tests.pipelines.execution import crashes
from tests.pipelines.execution.crashes import Image, Log
from tests.pipelines.lessons import NO_COMMA
from tests.pipelines.seeds import SEEDS, write_seeds
from tests.spar_core.verification.answers import CASES, LOWER, UPPER, function

FIRST = 3
"""Prompts, or seeds, of which all is done before the crash."""

TEXTS = [f"Prompt {n}: one line, please." for n in range(7)]


MORE = [f"Describe the {animal} as a child would." for animal in ("otter", "heron", "lynx")]

LIBRARIES = {"evolve": ("lm_eval", "datasketch", "py3langid"), "bootstrap": ("lm_eval",)}
"""What jobs need that not every installation has."""


@dataclass(frozen=True)
class Family:
    """Stages of a job that are chosen by an option."""

    job: str
    choice: str
    name: str
    stages: Stages
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.job}-{self.name}"


FAMILIES = [
    Family(job, choice, name, stages)
    for job, choice, registered in (
        ("refine", "method", METHODS),
        ("evolve", "writer", WRITERS),
        ("bootstrap", "teacher", TEACHERS),
        ("answer", "decoder", ANSWERERS),
    )
    for name, stages in registered.items()
]


def fresh(family: Family) -> list[str]:
    """The stages of a family that no family before it has."""
    before = FAMILIES[: FAMILIES.index(family)]
    seen = {stage for each in before for stage in each.stages}
    return [stage.name for stage in family.stages if stage not in seen]


def first_of_kind() -> set[tuple[str, str]]:
    """Of each kind of stage the first: of a kind are those that commit alike.

    They write one table or several, have a journal of answers or none, take commits back or not.
    """
    found: dict[tuple[object, ...], tuple[str, str]] = {}
    for family in FAMILIES:
        for stage in family.stages:
            kind = len(stage.writes) > 1, bool(stage.roles), stage.replaces
            found.setdefault(kind, (str(family), stage.name))
    return {*found.values()}


FIRST_OF_KIND = first_of_kind()


def play(request: ChatRequest) -> Sequence[str]:
    """Plays every role of every stage, by the text that is asked about alone."""
    said, n = request.messages[-1]["content"], request.n
    for words, answer in ROLES.items():
        if words in said:
            return [answer(said, number) for number in range(n)]
    if "Final " in said:
        answers = round_script({"messages": list(request.messages), "n": n})
        assert isinstance(answers, list)
        return answers
    return [_answer(said, number) for number in range(n)]


def _written(_: str, number: int) -> str:
    return function(LOWER if number % 2 else UPPER, *CASES)


def _better(said: str, _: int) -> str:
    first, second = re.findall(r"Score: (\d)", said)
    return f"Better grader: {'A' if first <= second else 'B'}"


def _rated(said: str, number: int) -> str:
    right = int(re.findall(r"q=\d\.(\d)", said)[-1]) // 2
    return f"Points: {number}.\nScore: {min(5, right + number % 2)}"


def _evolved(said: str, _: int) -> str:
    seed = said.partition("Instruction: ")[2].partition("\n\n")[0]
    return f"Constraints:\n- Rhyme.\nEvolved Instruction: [[start]] {seed} Rhyme. [[end]]"


def _next_task(said: str, _: int) -> str:
    first = said.partition("Task 1: ")[2].partition("\n")[0]
    return f"Task 9: Write {len(first)} rules for whoever read this: {first}"


ROLES: Mapping[str, Callable[[str, int], str]] = {
    "Write a Python function `evaluate": _written,
    "Here is a Python function that": lambda *_: "Small letters.",
    "Relation: entailment, neutral or": lambda *_: "Relation: entailment",
    "Better grader:": _better,
    "how well a Response answers": lambda said, number: f"Reasons: so.\nScore: {9 + number % 2}",
    "Choose the grade": lambda said, _: f"Reasons: so.\nScore: {5 - len(said) % 2}",
    "Score:": _rated,
    "Write the instruction": lambda said, _: f"Say that {said.partition('Text: ')[2][1:30]}.",
    "Consistent: Yes or No": lambda *_: "Consistent: Yes",
    "Evolved Instruction": _evolved,
    "Write the next one": _next_task,
}
"""By words that are said to it alone, what a role answers; who samples, judges or refines is not
among them."""


def _answer(prompt: str, number: int) -> str:
    """Of hidden quality; every second one has no comma and no capital letter."""
    text = f"answer {number} to {prompt[:9]!r} q=0.{(sum(map(ord, prompt)) + 3 * number) % 10}"
    return text.replace("to", "to,") if number % 2 else text.lower()


CAPS = dict.fromkeys(RFT_CAPS, 2)
"""So few samples are chosen that later prompts displace some of those of earlier ones."""


def stages_of(family: Family) -> Stages:
    """The stages of a family, with a selection that is small enough."""
    text = (Path(rft.__file__).parent / "rft.sql").read_text().format(**CAPS, whole=WHOLE)
    return tuple(
        replace(stage, items=text) if stage is rft.RFT else stage for stage in family.stages
    )


def asked(family: Family, place: Path) -> Job:
    """The family's job on a run in a folder."""
    argv = ["--run", str(place / "run"), f"--{family.choice}", family.name, *family.options]
    if family.stages[0].intake == "seeds":
        write_seeds(place / "input.jsonl", [*SEEDS, *MORE])
        argv += ["--seeds", str(place / "input.jsonl")]
    else:
        checks = {"checks": [NO_COMMA]} if family.job == "bootstrap" else {}
        rows = [{"prompt": text, **checks} for text in TEXTS]
        (place / "input.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        argv += ["--prompts", str(place / "input.jsonl")]
    if any(stage.roles for stage in family.stages):
        argv += ["--engine_url", "http://127.0.0.1:9", "--model", "scripted"]
    registered = {each.name: each.stages for each in FAMILIES if each.job == family.job}
    registered[family.name] = stages_of(family)
    return crashes.scripted(
        parse(family.job, "", registered, argv, choice=family.choice, default_run="")
    )


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", [each for each in FAMILIES if fresh(each)], ids=str)
def test_a_stage_goes_on_after_a_crash(
    family: Family, everywhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each commit of every stage; at any moment of the first stages of each kind."""
    for name in LIBRARIES.get(family.job, ()):
        pytest.importorskip(name, reason="the extras `checks` and `evolve` are not installed")
    wanted = fresh(family)
    with crashes.without_beam(monkeypatch):
        job = asked(family, tmp_path)
        if any(stage.replaces and stage.name in wanted for stage in family.stages):
            do_first(job)
        job, scope = crashes.read(job)
        for step in crashes.steps(job, scope):
            [stage] = [each.part.stage for each in step]
            if stage.name in wanted:
                only_commits = not everywhere and (str(family), stage.name) not in FIRST_OF_KIND
                crash_in(job, step, tmp_path, monkeypatch, only_commits=only_commits)
            else:
                undisturbed(job, step)
            if stage.replaces and (str(family), stage.name) in FIRST_OF_KIND:
                gone = Path(job.dataset.run).glob(f"_manifest/*/{stage.name}/*.gone")
                assert list(gone), "nothing of the selection was taken back"


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_round_in_one_pipeline_goes_on_after_a_crash(
    everywhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = replace(FAMILIES[0], options=("--together", "on"))
    with crashes.without_beam(monkeypatch):
        job, scope = crashes.read(asked(family, tmp_path))
        step, *_ = crashes.steps(job, scope)
        assert [each.part.stage.name for each in step] == [
            "sample",
            "judge",
            "tree_search",
            "pairs",
        ]
        crash_in(job, step, tmp_path, monkeypatch, only_commits=not everywhere)


def test_an_evaluation_goes_on_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lm_eval", "scipy"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")
    data = test_evaluate_resume.write_data(tmp_path / "data", 7, 2)
    argv = test_evaluate_resume.command(tmp_path / "run", data, "http://127.0.0.1:9")
    job = parse(
        "evaluate", "", evaluate.METHODS, argv, choice="decoder", default_run="", add=evaluate._add
    )
    job, scope = evaluate._read(job, Console(file=io.StringIO()))
    with crashes.without_beam(monkeypatch):
        job = crashes.scripted(job)
        for step in crashes.steps(job, scope):
            crash_in(job, step, tmp_path, monkeypatch, only_commits=True)


def do_first(job: Job) -> None:
    """Do all stages for a few prompts or seeds."""
    some, scope = crashes.read(job, FIRST)
    for step in crashes.steps(some, scope):
        undisturbed(some, step)


def undisturbed(job: Job, step: Sequence[Claimed]) -> None:
    session = Session()
    with crashes.logging(play):
        assert crashes.do(job, step, session) == 0
    session.close()


def crash_in(
    job: Job,
    step: Sequence[Claimed],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    only_commits: bool = False,
) -> None:
    """Do a step, and go on from what a crash at each of its moments leaves."""
    run, session = Path(job.dataset.run), Session()
    names = [folder(each.part.stage.name, each.part.variant) for each in step]
    before = crashes.entries(run, step)
    with crashes.logging(play) as log:
        images = crashes.Images(
            run, place / f"images of {names[0]}", session, log, names, only_commits=only_commits
        )
        with crashes.taking(images):
            assert crashes.do(job, step, session) == 0
    session.close()
    whole = Whole.of(run, step, log)
    assert whole.rows and all(whole.rows.values())
    commits = len(whole.entries - before.keys())
    assert commits > 1
    for part in (each.part for each in step if each.part.stage.replaces):
        with items(part, job.dataset, "key") as connection:
            given = connection.sql("select key from wanted").fetchall()
        assert whole.keys == {(part.stage.name, key) for (key,) in given}
    seen = {len(crashes.entries(image.run, step).keys() & whole.entries) for image in images.taken}
    assert seen == {*range(len(whole.entries & before.keys()), len(whole.entries) + 1)}
    with crashes.uncounted(monkeypatch):
        for image in images.taken:
            crashed = replace(job, dataset=Dataset(str(image.run), crashes.ITERATION))
            goes_on(image, crashed, step, whole)
            shutil.rmtree(image.run)
    print(f"{names}: {commits} commits, {len(images.taken)} crashes")


@dataclass(frozen=True)
class Whole:
    """What a step comes to that nothing disturbs.

    keys: of the items, each after its stage's name. requests: in the order of their answers.
    """

    entries: set[str]
    rows: Mapping[str, Sequence[str]]
    keys: set[tuple[str, str]]
    requests: Sequence[crashes.Asked]

    @classmethod
    def of(cls, run: Path, step: Sequence[Claimed], log: Log) -> Whole:
        entries = crashes.entries(run, step)
        return cls({*entries}, crashes.rows(run, entries), {*keys_of(entries)}, log.requests)


def keys_of(entries: Mapping[str, Entry]) -> list[tuple[str, str]]:
    return [(entry.stage, key) for entry in entries.values() for key in entry.keys]


def goes_on(image: Image, job: Job, step: Sequence[Claimed], whole: Whole) -> None:
    """Nothing that was committed is done, asked or written again, and the rest is done once."""
    kept = {
        path: entry
        for path, entry in crashes.entries(image.run, step).items()
        if {*keys_of({path: entry})} <= whole.keys  # a selection takes others back
    }
    held = crashes.contents(image.run, kept)
    session = Session()
    with crashes.logging(play) as log:
        crashes.do(job, step, session)
    session.close()
    after = crashes.entries(image.run, step)
    assert crashes.contents(image.run, kept) == held, image.moment
    assert crashes.rows(image.run, after) == whole.rows, image.moment
    assert sorted(keys_of(after)) == sorted(whole.keys), image.moment
    assert sorted(log.items) == sorted(whole.keys - {*keys_of(kept)}), image.moment
    answered = Counter(whole.requests[: image.answered])
    assert Counter(log.requests) == Counter(whole.requests) - answered, image.moment
    left = [*image.run.rglob("*.tmp"), *image.run.glob("_work/*/*/*")]
    assert not [*left, *image.run.glob("_journal/*/*")], image.moment


def test_every_registered_stage_is_crashed() -> None:
    assert {stage for family in FAMILIES for stage in family.stages} == {*all_stages()}
    assert sum(len(fresh(family)) for family in FAMILIES) == len(all_stages())
