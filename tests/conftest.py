"""Fixtures that tests of several folders share."""

from __future__ import annotations

import gc
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import object_store
from pipelines import refine
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import FinishedRound


def pytest_configure() -> None:
    """Take SIGINT as at a terminal: what a shell starts in the background ignores it, jobs too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of garbage collections: a trainer's take a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests is sent anywhere."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The URL of a bucket of a GCS server on loopback, shared by all tests: take a name in it."""
    with object_store.serving() as url:
        yield url


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries in this process follow at once."""
    monkeypatch.setattr("spar_core.engine.openai.backoff_s", lambda *_: 0.001)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A file of twelve prompts."""
    return rounds.write_prompts(tmp_path / "prompts.jsonl")


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A server that plays `rounds.story`."""
    with serving(rounds.story) as running:
        yield running


@pytest.fixture(scope="session")
def finished_round(tmp_path_factory: pytest.TempPathFactory) -> FinishedRound:
    """A round that is done; for reading only."""
    folder = tmp_path_factory.mktemp("finished")
    prompts = rounds.write_prompts(folder / "prompts.jsonl")
    with serving(rounds.story) as running:
        code = refine.main(rounds.command(folder / "run", prompts, running.url))
    assert code == 0
    return FinishedRound(
        folder / "run", running.bodies, running.prompt_tokens, running.completion_tokens
    )


@pytest.fixture(scope="session")
def finished_run(finished_round: FinishedRound) -> Path:
    """The run of `finished_round`; for reading only."""
    return finished_round.run


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of `finished_run` at `run` in the test's folder, which the test may change."""
    return shutil.copytree(finished_run, tmp_path / "run")
