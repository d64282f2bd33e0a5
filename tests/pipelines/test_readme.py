"""Every command of the README, run exactly as it stands there, or at least understood.

Engines are replaced by a scripted server, whatever a command says of them. What is only understood,
and why, is in `UNDERSTOOD`.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL

import pytest

from evaluation import data
from pipelines import evaluate, iterate_options, plan, refine
from pipelines.execution import options as command_lines
from pipelines.execution import runners
from pipelines.execution.options import parse
from pipelines.execution.roles import engine_of
from spar_core.engine import addresses
from spar_core.methods import METHODS
from tests import documented
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.spar_core.methods import actor
from training import options
from training.data import select

ROOT = rounds.ROOT
README = ROOT / "README.md"
BLOCKS = documented.blocks(README)
SEEDS = ["Describe a clock.", "Write about rain in a city.", "Explain how bread is baked."]
IFEVAL = {
    "key": 1,
    "prompt": "Describe a clock without commas.",
    "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{}],
}
UNDERSTOOD = {
    "make": "make installs packages; `make --dry-run` knows the target",
    "source": "the environment is the one that the tests run in",
    "pip": "what it installs is in setup.py",
    "--runner=FlinkRunner": "it needs a cluster: tests/pipelines/runners runs one",
    "gs:": "it needs a bucket: tests/pipelines/test_object_store.py has one",
    "pipelines.iterate": "its trainings take minutes: tests/pipelines/test_iterate.py runs it",
    "training.dpo": "TRL loads for long: tests/training/test_job.py runs it; its rows are read",
    "training.rft": "the same",
}
TAIL = "and every answer here ends in the same words, whatever it was that somebody has asked for."


def understood(words: Sequence[str]) -> str | None:
    """Return why a command is only understood; None if it is run."""
    said = [each for word in words for each in (word, word.partition("/")[0])]
    return next((why for name, why in UNDERSTOOD.items() if name in said), None)


def is_begun(block: Sequence[Sequence[str]]) -> bool:
    """Whether a block goes on with a run that an earlier one has made."""
    return not any(word in ("--prompts", "--seeds") for words in block for word in words)


def says(body: Body) -> Answer:
    """Plays every model: rates answers, too, and refines them with few changes."""
    last, n = body["messages"][-1]["content"], body.get("n", 1)
    if actor.role(last) != "answer":
        return actor.says(last, n)
    said = rounds.story(body)
    assert isinstance(said, list)
    if rounds.role(body) == "actor":
        return [f"{text} {TAIL}" for text in said]
    return [text.replace(" [[end]]", f" {TAIL} [[end]]") for text in said]


@pytest.fixture(scope="module")
def scripted() -> Iterator[LoopbackServer]:
    with serving(says) as server:
        yield server


@pytest.fixture
def engines(scripted: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine is the scripted server, and the Hub has one prompt of IFEval."""

    def replaced(*given: object) -> object:
        spec = engine_of(*given)  # type: ignore[arg-type]
        return replace(spec, kind="openai", url=scripted.url, model="", adapter="", arguments="")

    monkeypatch.setattr(command_lines, "engine_of", replaced)
    monkeypatch.setattr(data, "_downloaded", lambda _: [Path("ifeval.jsonl")])
    monkeypatch.setattr(runners, "_require_flink", lambda _: None)
    monkeypatch.setattr(addresses, "_read", lambda _: "http://localhost:8000")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, scripted: LoopbackServer) -> Path:
    """A folder with all that the commands read; for reading only."""
    folder = tmp_path_factory.mktemp("readme")
    rounds.write_prompts(folder / "my.jsonl", rounds.PROMPTS[:3])
    for name in ("data", "seeds"):
        (folder / name).mkdir()
    shutil.copy(folder / "my.jsonl", folder / "data")
    rounds.write_prompts(folder / "seeds" / "some.jsonl", SEEDS)
    shutil.copy(folder / "my.jsonl", folder / "FILES")
    (folder / "ifeval.jsonl").write_text(json.dumps(IFEVAL))
    run = rounds.command(folder / "runs" / "mine", folder / "my.jsonl", scripted.url)
    assert refine.main(run) == 0
    asked = ["--benchmark", "ifeval", "--data", str(folder / "ifeval.jsonl")]
    other = ["--run", str(folder / "runs" / "other"), "--engine_url", scripted.url]
    assert evaluate.main([*other, *asked]) == 0
    return folder


@pytest.fixture
def place(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder."""
    folder = shutil.copytree(world, tmp_path / "place")
    monkeypatch.chdir(folder)
    return folder


def trained_on(table: str, columns: tuple[str, ...], argv: list[str]) -> None:
    """Assert that rows are left to train on."""
    options.look(argv)
    given = dict(itertools.pairwise(argv))
    assert select(given["--data"], table, (columns,), given.get("--where", "true")).rows


_PARSERS: dict[str, Callable[[list[str]], object]] = {
    "pipelines.refine": lambda argv: parse("refine", "", METHODS, argv),
    "pipelines.plan": lambda argv: parse("plan", "", plan.PLANNED, argv, add=plan._add),
    "pipelines.iterate": lambda argv: iterate_options.understand("", argv),
    "training.dpo": lambda argv: trained_on("pairs", ("prompt", "chosen", "rejected"), argv),
    "training.rft": lambda argv: trained_on("rft", ("messages",), argv),
}


def understand(words: Sequence[str]) -> None:
    """Assert that a command which is not run means something."""
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, stdout=DEVNULL, check=True)
    elif words[0] == "pip":
        [extras] = (word for word in words if word.startswith(".["))
        assert set(extras[2:-1].split(",")) <= known_extras()
    elif words[0] == "source":
        assert words == ["source", ".venv/bin/activate"]
    elif words[2] in _PARSERS:
        _PARSERS[words[2]](list(words[3:]))
    else:
        assert importlib.util.find_spec(documented.module_of(words))


def known_extras() -> set[str]:
    """Return the extras of setup.py."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    [found] = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "extras_require"
    )
    assert isinstance(found, ast.Dict)
    return {ast.literal_eval(key) for key in found.keys if key}


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: " ".join(block[0][:4]))
def test_each_command_does_what_it_says(
    block: list[list[str]], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not is_begun(block):
        shutil.rmtree(place / "runs" / "mine")
    for words in block:
        if understood(words):
            understand(words)
        else:
            assert documented.run(words) == 0, (words, capsys.readouterr().err)


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize("words", documented.inline(README), ids=" ".join)
def test_each_command_in_the_text_is_understood(words: list[str]) -> None:
    if words[2] in _PARSERS:
        understand(words)
    else:
        assert importlib.util.find_spec(documented.module_of(words))
