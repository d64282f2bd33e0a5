"""The confined processes: limits of the kernel, replaced when they die, gone with their caller."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spar_core.filters.library import NoLibrary
from spar_core.sandbox import children
from spar_core.sandbox.children import Children
from tests.spar_core.sandbox.watch import descendants

PROGRAM: dict[str, object] = {"function": None, "arguments": [], "seconds": 30.0, "memory_mb": 64}


def _request(code: str) -> bytes:
    return json.dumps({**PROGRAM, "code": code}).encode() + b"\n"


def _outcome(answer: bytes) -> str:
    return str(json.loads(answer)["outcome"])


@pytest.fixture
def sandbox() -> Iterator[Children]:
    with contextlib.closing(Children()) as sandbox:
        assert _outcome(sandbox.ask(_request("x = 1"), 60)) == "passed"
        yield sandbox


@pytest.fixture
def pids(sandbox: Children) -> tuple[int, int]:
    """Of the child of `sandbox`, and of its worker."""
    (child,) = (one._process.pid for one in sandbox._idle)
    (worker,) = Path(f"/proc/{child}/task/{child}/children").read_text().split()
    return child, int(worker)


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def _wait_until_gone(*pids: int) -> None:
    _wait(lambda: not any(_is_there(pid) for pid in pids))


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    """CPU time that a process has used."""
    return sum(map(int, _stat(pid)[11:13]))


def _kill_at_work(pid: int, pids: tuple[int, int]) -> None:
    """Kill the child or its worker as soon as the worker is busy."""
    before = _ticks(pids[1])

    def kill() -> None:
        _wait(lambda: _ticks(pids[1]) > before + 5)
        os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill).start()


def test_the_kernel_limits_a_worker(pids: tuple[int, int]) -> None:
    limits = Path(f"/proc/{pids[1]}/limits").read_text()
    rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert rows["Max open files"] == ["3", "3"]
    assert rows["Max file size"] == rows["Max processes"] == rows["Max core file size"] == ["0"] * 2
    assert int(rows["Max address space"][0]) == (256 + 2 * 64) << 20
    assert 30 <= int(rows["Max cpu time"][0]) <= 34


def test_a_worker_has_three_pipes_and_no_environment(pids: tuple[int, int]) -> None:
    files = [os.readlink(path) for path in Path(f"/proc/{pids[1]}/fd").iterdir()]
    assert len(files) == 3
    assert all(name.startswith("pipe:") or name == "/dev/null" for name in files)
    assert Path(f"/proc/{pids[1]}/environ").read_bytes() == b""
    assert Path(f"/proc/{pids[0]}/environ").read_bytes() == b""


def test_a_child_is_used_again(sandbox: Children, pids: tuple[int, int]) -> None:
    for _ in range(5):
        sandbox.ask(_request("1 / 0"), 60)
    assert [one._process.pid for one in sandbox._idle] == [pids[0]]
    assert _is_there(pids[1])


def test_a_worker_that_dies_is_replaced(sandbox: Children, pids: tuple[int, int]) -> None:
    _kill_at_work(pids[1], pids)
    assert _outcome(sandbox.ask(_request("while True: pass"), 60)) == "unsupported"
    assert _outcome(sandbox.ask(_request("x = 1"), 60)) == "passed"
    assert not _is_there(pids[1])


def test_a_child_that_dies_is_replaced(sandbox: Children, pids: tuple[int, int]) -> None:
    _kill_at_work(pids[0], pids)
    with pytest.raises(ChildProcessError):
        sandbox.ask(_request("while True: pass"), 60)
    assert not _is_there(pids[0])
    _wait_until_gone(pids[1])
    assert _outcome(sandbox.ask(_request("x = 1"), 60)) == "passed"


def test_a_child_that_died_while_idle_costs_nobody_an_outcome(
    sandbox: Children, pids: tuple[int, int]
) -> None:
    [child] = sandbox._idle
    os.kill(pids[0], signal.SIGKILL)
    _wait(lambda: not child.lives())
    assert _outcome(sandbox.ask(_request("x = 1"), 60)) == "passed"
    assert not _is_there(pids[0])


def test_a_child_that_hangs_is_killed_in_time(sandbox: Children, pids: tuple[int, int]) -> None:
    os.kill(pids[0], signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        sandbox.ask(_request("#" * 500_000), 0.3)  # more than a pipe holds
    assert time.monotonic() - began < 60
    assert not _is_there(pids[0])
    assert _outcome(sandbox.ask(_request("x = 1"), 60)) == "passed"


def test_what_is_closed_is_gone(sandbox: Children, pids: tuple[int, int]) -> None:
    sandbox.close()
    assert not _is_there(pids[0])
    _wait_until_gone(pids[1])
    assert not [command for pid, command in descendants().items() if pid in pids]


ENDLESS = """
from spar_core.sandbox import run
print(run("x = 1", seconds=1, memory_mb=64).outcome, flush=True)
{then}
"""


def _children(caller: int) -> list[int]:
    """The sandbox's processes below a caller."""
    below = descendants(caller).items()
    return [pid for pid, line in below if line.endswith(("child.py", "subprocess"))]


@pytest.mark.parametrize("then", ["", "run('while True: pass', seconds=300, memory_mb=64)"])
def test_a_caller_that_ends_or_is_killed_leaves_nothing(then: str) -> None:
    command = [sys.executable, "-c", ENDLESS.format(then=then)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
        assert caller.stdout and caller.stdout.readline() == b"passed\n"
        below = _children(caller.pid)
        if then:
            _wait(lambda: any(_ticks(pid) > 50 for pid in _children(caller.pid)))
            below = _children(caller.pid)
            assert below
            caller.kill()
    _wait_until_gone(*below)


def test_a_forked_process_has_children_of_its_own() -> None:
    code = """
import os
from spar_core.sandbox import run
assert run("x = 1", seconds=1, memory_mb=64).outcome == "passed"
pid = os.fork()
outcomes = [run(f"assert {n % 2}", seconds=1, memory_mb=64).outcome for n in range(200)]
assert outcomes == ["failed", "passed"] * 100
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_sandbox_that_does_not_start_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit(9)")
    monkeypatch.setattr(children, "_SCRIPT", broken)
    said = r"^the sandbox needs the package pydantic-monty: .*does not start: exit code 9\)$"
    with pytest.raises(NoLibrary, match=said):
        Children().ask(_request("x = 1"), 60)


def test_a_library_that_is_missing_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    said = r"^the sandbox needs the package pydantic-monty: pip install '\.\[code\]'$"
    with pytest.raises(NoLibrary, match=said):
        Children().ask(_request("x = 1"), 60)
