"""Processes that are forked are as those that `python -m` starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.loopback import LoopbackServer
from tests.pipelines import rounds
from tests.pipelines.processes import ROOT, Process, start


def by_python(job: str, *argv: str) -> tuple[int, str, str]:
    """What a job that a user starts ends with: its code and what it says."""
    line = [sys.executable, "-m", job, *argv]
    ran = subprocess.run(line, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return ran.returncode, ran.stdout, ran.stderr


def ended(process: Process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode is not None
    return process.returncode, out, err


def test_a_round_is_done_as_by_the_command_of_a_user(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    runs = tmp_path / "one", tmp_path / "two"
    lines = [rounds.command(run, prompts, server.url) for run in runs]
    code, out, err = by_python("pipelines.refine", *lines[0])
    assert (code, err) == (0, "")
    code, forked, err = ended(start("pipelines.refine", *lines[1]))
    assert (code, err) == (0, "")
    assert rounds.tables(runs[1]) == rounds.tables(runs[0])
    assert len(forked.splitlines()) == len(out.splitlines())


@pytest.mark.parametrize(
    ("job", "argv"), [("pipelines.refine", ["--nope"]), ("pipelines.nothing", [])]
)
def test_errors_are_told_alike(job: str, argv: Sequence[str]) -> None:
    code, out, err = ended(start(job, *argv))
    told = by_python(job, *argv)
    assert (code, out) == told[:2] and code
    assert err.splitlines()[-1].rpartition(": ")[2] == told[2].splitlines()[-1].rpartition(": ")[2]


def test_a_fork_has_what_a_process_of_its_own_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shown.py").write_text(
        "import atexit, os, signal, sys, tempfile, threading, time\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('a thread'))).start()\n"
        "handler = signal.getsignal(signal.SIGINT)\n"
        "print(sys.argv[1:], os.getcwd(), os.environ['SHOWN'], tempfile.gettempdir())\n"
        "print(handler is signal.default_int_handler, os.getsid(0) == os.getpid())\n"
        "print(sys.path[0], __name__, sys.stdin.read() == '', len(threading.enumerate()))\n"
        "print('said', file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code, out, err = ended(
        start("shown", "a", "b", folder=tmp_path, environment={"SHOWN": "1"}, has_own_group=True)
    )
    assert (code, err) == (7, "said\n")
    assert out.splitlines() == [
        f"['a', 'b'] {tmp_path} 1 {tmp_path}",
        "True True",
        f"{tmp_path} __main__ True 2",
        "a thread",
        "at exit",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, -2)])
def test_signals_reach_a_job_by_its_pid(tmp_path: Path, number: int, code: int) -> None:
    lines = "import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(60)\n"
    (tmp_path / "waits.py").write_text(lines)
    process = start("waits", folder=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "here").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    assert ended(process)[0] == code


def test_a_file_may_not_grow_over_a_limit(tmp_path: Path) -> None:
    lines = "with open('big', 'wb') as file:\n    file.write(bytes(50_000))\n"
    (tmp_path / "writes.py").write_text(lines)
    code, _, err = ended(start("writes", folder=tmp_path, file_blocks=4))
    assert code == 1 and "File too large" in err
    assert (tmp_path / "big").stat().st_size == 4096


def test_what_takes_long_to_import_is_there(tmp_path: Path) -> None:
    names = ["apache_beam", "duckdb", "pyarrow.parquet", "pipelines.execution.job"]
    lines = f"import sys\nprint({{*{names}}} - sys.modules.keys())\n"
    (tmp_path / "looks.py").write_text(lines)
    assert ended(start("looks", folder=tmp_path)) == (0, "set()\n", "")
