from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

GUARDIAN = [sys.executable, "-m", "spar_core.engine.guardian"]
SERVER = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


def _pids(file: Path) -> list[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if file.exists() and len(found := file.read_text().split()) == 2:
            return [int(pid) for pid in found]
        time.sleep(0.05)
    raise AssertionError("the command did not start")


def _are_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not any(_lives(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_group_ends_when_standard_input_closes(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    guardian = subprocess.Popen(
        [*GUARDIAN, sys.executable, "-c", SERVER, str(file)], stdin=subprocess.PIPE
    )
    pids = _pids(file)
    assert guardian.stdin
    guardian.stdin.close()
    assert _are_gone(pids)
    assert guardian.wait(120) != 0


def test_the_group_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import subprocess, sys, time
                subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
                time.sleep(600)
            """),
            *(*GUARDIAN, sys.executable, "-c", SERVER, str(file)),
        ]
    )
    pids = _pids(file)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert _are_gone(pids)


def test_the_exit_code_is_the_commands() -> None:
    command = [*GUARDIAN, sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guardian:
        assert guardian.wait(120) == 7
