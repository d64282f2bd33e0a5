"""One driver a run at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.execution.lease import RunLocked, held
from spar_core.dataset import Dataset


def test_a_second_holder_of_a_run_is_refused(tmp_path: Path) -> None:
    run = str(tmp_path / "new" / "run")
    with held(Dataset(run, 1)), pytest.raises(RunLocked, match="new/run"), held(Dataset(run, 2)):
        pass
    with held(Dataset(run, 1)):
        pass


def test_it_is_refused_to_another_process_and_free_after_a_kill(tmp_path: Path) -> None:
    script = f"""
from pipelines.execution.lease import held
from spar_core.dataset import Dataset
with held(Dataset({str(tmp_path)!r}, 1)):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(RunLocked), held(Dataset(str(tmp_path), 1)):
            pass
        holder.kill()
        holder.wait()
    with held(Dataset(str(tmp_path), 1)):
        pass


def test_object_stores_have_none_yet() -> None:
    with held(Dataset("memory://locked", 1)), held(Dataset("memory://locked", 1)):
        pass
