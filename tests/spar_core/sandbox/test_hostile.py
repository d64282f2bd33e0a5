"""Hostile programs: none gets out, none hurts the caller, each has an outcome."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spar_core.sandbox import run
from tests.spar_core.sandbox.hostile import HOSTILE
from tests.spar_core.sandbox.watch import Watch

SECONDS, ENOUGH_S = 0.1, 30.0
"""The limit of programs that may meet it, and of those that are to end by themselves."""

PATIENCE_S = 60.0
"""Much more than the limit and the graces of worker and process: the machine may be busy."""
GROWTH_KB = 64_000


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    run("", seconds=1, memory_mb=32)
    with contextlib.closing(Watch(tmp_path_factory.mktemp("watched"))) as watch:
        yield watch


@pytest.fixture(scope="module")
def memory_before(watch: Watch) -> int:
    return _memory_kb()


def _memory_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_they_are_many_and_differ() -> None:
    assert len({code for code, _ in HOSTILE}) == len(HOSTILE) >= 200


@pytest.mark.parametrize(("code", "allowed"), HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_no_program_gets_out(
    code: str, allowed: set[str], watch: Watch, memory_before: int
) -> None:
    program = code.replace("FOLDER", str(watch.folder)).replace("PORT", str(watch.port))
    began = time.monotonic()
    ran = run(program, seconds=SECONDS if "limit" in allowed else ENOUGH_S, memory_mb=32)
    assert time.monotonic() - began < PATIENCE_S
    assert ran.outcome in allowed, ran
    assert len(ran.message) <= 200 and (not ran.message or ran.message.isprintable())
    assert watch.seen() == []
    assert _memory_kb() - memory_before < GROWTH_KB
    assert run("assert 1 + 1 == 2", seconds=ENOUGH_S, memory_mb=32).outcome == "passed"


def test_the_watch_sees_what_gets_out(tmp_path: Path) -> None:
    with contextlib.closing(Watch(tmp_path)) as watch:
        assert watch.seen() == []
        with socket.create_connection(("127.0.0.1", watch.port)):
            assert watch.seen() == ["a connection"]
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=0
        ) as process:
            assert [line.split(":")[0] for line in watch.seen()] == ["a process"]
            process.communicate(b"\n")
        (tmp_path / "new").touch()
        assert watch.seen() == ["the folder is another"]
