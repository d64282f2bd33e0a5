"""A tiny model and data for the training jobs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import llama
from tests.training import tiny
from training import curves

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported

if importlib.util.find_spec("trl") is None:
    pytest.skip("the training extra is not installed: make test", allow_module_level=True)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small are slower on two threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama's folder; for reading only."""
    return llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw no curves, which takes a third of the time of so short ones; see `drawn`."""
    monkeypatch.setattr("training.job.draw", lambda *_: None)


@pytest.fixture
def drawn(_undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw their curves, as for users."""
    monkeypatch.setattr("training.job.draw", curves.draw)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return tiny.write_jsonl(tmp_path / "pairs.jsonl", [tiny.pair(n) for n in range(24)])


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    return tiny.write_jsonl(tmp_path / "rft.jsonl", [tiny.chat(n) for n in range(24)])
