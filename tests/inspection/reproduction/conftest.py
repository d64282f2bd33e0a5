"""A whole reproduction, made once for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import intervals
from inspection.reproduction import contract, measured
from inspection.reproduction.measured import Results
from tests.inspection.reproduction.folders import SETTINGS, STEPS, full


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the draws for each interval, as tests look at its place and not at its bounds."""
    monkeypatch.setattr(intervals, "_DRAWS", 200)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    made = full(tmp_path_factory.mktemp("whole") / "run", count=20)
    return made.write(settings=SETTINGS, steps=STEPS)


@pytest.fixture(scope="session")
def whole(whole_run: Path) -> Results:
    """What it measured."""
    return measured.read(contract.read(whole_run).evaluations)
