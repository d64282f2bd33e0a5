"""What a job has in a process: Ctrl-C noticed, engines of its own, and itself when unpickled."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.execution.session import Session
from spar_core.engine.protocol import EngineGone


def test_the_first_ctrl_c_is_noted_and_the_second_raises() -> None:
    session = Session()
    with session.noticing():
        assert not session.is_pressed
        os.kill(os.getpid(), signal.SIGINT)
        assert session.is_pressed
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not Session().is_pressed, "a later job starts afresh"


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    session = Session()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with session.noticing():
            os.kill(os.getpid(), signal.SIGINT)
            assert not session.is_pressed
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_jobs_in_a_process_have_engines_of_their_own() -> None:
    one, other = Session(), Session()
    assert one.engines is one.engines is not other.engines
    one.engines.meter.count(requests=3)
    assert other.engines.meter.take().requests == 0
    one.close()
    assert other.engines.loop.is_running()
    other.close()
    other.close()


def test_unpickled_it_is_itself_here_and_a_new_one_elsewhere() -> None:
    session = Session("some/engine.log")
    pickled = pickle.dumps(session)
    assert pickle.loads(pickled) is session
    script = (
        "import pickle, sys\n"
        "pickled = sys.stdin.buffer.read()\n"
        "one, other = pickle.loads(pickled), pickle.loads(pickled)\n"
        "print(one is other, one.is_pressed, one.log)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], check=False, input=pickled, capture_output=True
    )
    assert ran.stdout == b"True False some/engine.log\n", ran.stderr
    session.close()


TRAVELLED = """
import pickle, sys
session = pickle.load(sys.stdin.buffer)
engines = session.engines
print(engines._machine._folder.name, engines._machine._log)
session.close()
"""


def test_where_it_travelled_to_processes_share_their_engines(tmp_path: Path) -> None:
    here, away = Session(str(tmp_path / "engine.log")), Session("/no/such/folder/engine.log")
    assert here.engines._machine is None
    for session, log in ((here, tmp_path / "engine.log"), (away, None)):
        ran = subprocess.run(
            [sys.executable, "-c", TRAVELLED],
            check=False,
            input=pickle.dumps(session),
            capture_output=True,
        )
        assert ran.stdout.decode().split() == [session.name, str(log)], ran.stderr
        session.close()


def test_what_another_put_where_processes_share_engines_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"spar-engines-{os.getuid()}").symlink_to(tmp_path)
    travelled = Session("", "0123")
    with pytest.raises(EngineGone, match="remove it, or set TMPDIR"):
        _ = travelled.engines
    travelled.close()
    assert not (tmp_path / "0123").exists()


def test_without_a_log_engines_write_to_a_file_of_a_name_that_nobody_knows_before() -> None:
    session = Session()
    assert session.engines._log is None  # they make one when they start
    session.close()
