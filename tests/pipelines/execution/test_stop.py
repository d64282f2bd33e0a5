"""A job that cannot go on: its workers do not try one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.execution import stop
from pipelines.execution.inference import Inference
from pipelines.execution.plan import Part
from pipelines.execution.session import Session
from pipelines.execution.stop import RunStopped
from spar_core.dataset import Dataset
from spar_core.engine.engines import Engines
from spar_core.engine.protocol import EngineAway, EngineGone
from spar_core.engine.spec import EngineSpec
from spar_core.methods.spar import STAGES
from spar_core.stage import StageSettings


def worker(run: Path, session: Session) -> Inference:
    part = Part(STAGES[0], StageSettings(), "main", {}, None)
    return Inference([part], Dataset(str(run), 1), {"actor": EngineSpec("llamacpp")}, session)


def failing(monkeypatch: pytest.MonkeyPatch, error: EngineGone) -> list[Any]:
    starts: list[Any] = []

    def using(self: Engines, specs: Any) -> None:
        starts.append(specs)
        raise error

    monkeypatch.setattr(Engines, "using", using)
    return starts


def begin(run: Path, session: Session) -> str:
    doing = worker(run, session)
    with pytest.raises(RunStopped) as stopped:
        doing.setup()
    doing.teardown()
    return str(stopped.value)


def test_what_no_other_try_mends_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = failing(monkeypatch, EngineGone("no model folder at /m"))
    session, later = Session(), Session()
    assert {begin(tmp_path, session) for _ in range(3)} == {"no model folder at /m"}
    assert len(starts) == 1
    begin(tmp_path, later)
    assert len(starts) == 2, "another plan is not stopped by it"
    stop.clear(Dataset(str(tmp_path), 1))
    begin(tmp_path, session)
    assert len(starts) == 3
    session.close()
    later.close()


def test_a_server_that_may_come_back_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = failing(monkeypatch, EngineAway("no route to it"))
    session = Session()
    assert {begin(tmp_path, session) for _ in range(3)} == {"no route to it"}
    assert len(starts) == 3
    assert not [*tmp_path.iterdir()]
    session.close()
