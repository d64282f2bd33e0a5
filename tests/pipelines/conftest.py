"""What tests of whole jobs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import refine, steps
from pipelines.execution import child, progress
from spar_core.engine.bundled import bundled_model
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.children import Children
from tests.pipelines.gates import Begin
from tests.pipelines.processes import Process
from tests.pipelines.rounds import FinishedRound
from training.gguf_checkpoint import convert


@pytest.fixture(autouse=True)
def _at_once(quick_retries: None) -> None:
    """A job in this process sends a request again without a pause."""


@pytest.fixture(autouse=True)
def _no_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job in this process says nothing of its progress, however slow the machine is."""
    monkeypatch.setattr(progress, "LINE_S", 3600.0)
    monkeypatch.setattr(progress, "LATER_LINE_S", 3600.0)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as the checkpoint folder that vLLM reads."""
    folder = tmp_path_factory.mktemp("smollm2")
    convert(bundled_model(), folder)
    return folder


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A file of `rounds.SMALL_PROMPTS`."""
    return rounds.write_prompts(tmp_path / "few.jsonl", rounds.SMALL_PROMPTS)


@pytest.fixture(scope="session")
def small_round(tmp_path_factory: pytest.TempPathFactory) -> FinishedRound:
    """A round on `rounds.SMALL_PROMPTS` that is done with `rounds.SMALL`; for reading only."""
    folder = tmp_path_factory.mktemp("small")
    prompts = rounds.write_prompts(folder / "few.jsonl", rounds.SMALL_PROMPTS)
    with serving(rounds.story) as running:
        assert refine.main(rounds.small(folder / "run", prompts, running.url)) == 0
    return FinishedRound(
        folder / "run", running.bodies, running.prompt_tokens, running.completion_tokens
    )


@pytest.fixture(scope="session")
def small_run(small_round: FinishedRound) -> Path:
    """The run of `small_round`; for reading only."""
    return small_round.run


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where jobs put temporary files; its path is short, vLLM's sockets lie there."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`rounds.start`, whose processes do not outlive the test."""
    begun: list[Process] = []

    def start(*argv: str, job: str = "pipelines.refine", file_blocks: int | None = None) -> Process:
        begun.append(rounds.start(*argv, job=job, file_blocks=file_blocks))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def working(place: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> Children:
    """What `pipelines.iterate` starts in the folder `place`, each of which does its work."""
    played = Children(server)
    monkeypatch.setattr(child, "run", played)
    return played


@pytest.fixture
def children(place: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Children whose rounds do nothing, and are said to have given something to train on."""
    played = Children()
    monkeypatch.setattr(child, "run", played)
    monkeypatch.setattr(steps, "rows", lambda *_: 5)
    return played
