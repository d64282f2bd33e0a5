"""Fixtures that tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import object_store
from pipelines import refine
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds


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
    monkeypatch.setattr("spar_core.engine.openai._wait", lambda _: 0.001)


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
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole round on `rounds.PROMPTS`; for reading only."""
    folder = tmp_path_factory.mktemp("finished")
    prompts = rounds.write_prompts(folder / "prompts.jsonl")
    with serving(rounds.story) as running:
        code = refine.main(rounds.command(folder / "run", prompts, running.url))
    assert code == 0
    return folder / "run"
