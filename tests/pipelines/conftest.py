"""What tests of whole jobs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from pipelines import steps
from pipelines.execution import child
from spar_core.engine.llamacpp import bundled_model
from tests.loopback import LoopbackServer
from tests.pipelines import rounds
from tests.pipelines.children import Children
from tests.pipelines.gates import Begin
from training.gguf_checkpoint import convert


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as the checkpoint folder that vLLM reads."""
    folder = tmp_path_factory.mktemp("smollm2")
    convert(bundled_model(), folder)
    return folder


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where jobs put temporary files; its path is short, vLLM's sockets lie there."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def begin() -> Iterator[Begin]:
    """`rounds.start`, whose processes do not outlive the test."""
    begun: list[Popen[str]] = []

    def start(
        *argv: str, job: str = "pipelines.refine", file_blocks: int | None = None
    ) -> Popen[str]:
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
