"""What is said of a stage while it runs, where output is no terminal and where it is one."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest

from pipelines.execution import progress as module
from pipelines.execution.progress import progress
from spar_core.engine.meter import Meter
from terminal.console import Console

LINE_S, LATER_LINE_S = module.LINE_S, module.LATER_LINE_S


def wait_for_lines(said: io.StringIO, lines: int) -> list[str]:
    deadline = time.monotonic() + 120
    while said.getvalue().count("\n") < lines and time.monotonic() < deadline:
        time.sleep(0.01)
    return said.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _as_a_user_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come as often as in a job; other tests have them switched off."""
    monkeypatch.setattr(module, "LINE_S", LINE_S)
    monkeypatch.setattr(module, "LATER_LINE_S", LATER_LINE_S)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines come after a twentieth of a second, not after ten."""
    monkeypatch.setattr(module, "LINE_S", 0.05)
    monkeypatch.setattr(module, "LATER_LINE_S", 0.05)
    yield


@pytest.mark.usefixtures("quick")
def test_lines_say_how_far_a_stage_is_and_how_long_it_will_take() -> None:
    said, meter = io.StringIO(), Meter()
    meter.items, meter.completion_tokens = 3, 500  # of an earlier stage
    with progress(Console(file=said), "judge", "responses", 4, 10, meter):
        first = wait_for_lines(said, 1)[0]
        meter.start(5)
        at_work = wait_for_lines(said, said.getvalue().count("\n") + 2)[-1]
        meter.items += 2
        meter.count(completion_tokens=1200)
        last = wait_for_lines(said, said.getvalue().count("\n") + 2)[-1]
    assert first.startswith("judge: 4 of 10 responses, starting, ")
    assert "left" not in first, "nothing is known before the first item is done"
    assert "starting" not in at_work
    assert last.startswith("judge: 6 of 10 responses, ")
    assert "tokens/s" in last
    assert last.endswith(" s left")


@pytest.mark.usefixtures("quick")
def test_the_pace_of_what_asks_no_model_is_that_of_its_items() -> None:
    said, meter = io.StringIO(), Meter()
    with progress(Console(file=said), "pairs", "trees", 0, 900, meter):
        meter.items += 30
        line = wait_for_lines(said, 1)[0]
    assert " a second, " in line
    assert " left" in line


@pytest.mark.usefixtures("quick")
def test_work_in_other_processes_is_not_counted_here() -> None:
    said = io.StringIO()
    with progress(Console(file=said), "pairs", "trees", 1, 3, Meter(), is_here=False):
        line = wait_for_lines(said, 1)[0]
    assert line.startswith("pairs: 2 trees in other processes, ")


@pytest.mark.usefixtures("quick")
def test_nothing_is_said_after_the_stage() -> None:
    said = io.StringIO()
    with progress(Console(file=said), "pairs", "trees", 0, 3, Meter()):
        wait_for_lines(said, 1)
    lines = said.getvalue()
    time.sleep(0.2)
    assert said.getvalue() == lines


def test_a_quick_stage_says_nothing_off_a_terminal() -> None:
    said = io.StringIO()
    with progress(Console(file=said), "pairs", "trees", 0, 3, Meter()):
        time.sleep(0.1)
    assert (LINE_S, LATER_LINE_S) == (10, 60)
    assert said.getvalue() == ""


def test_a_terminal_has_a_bar() -> None:
    said, meter = io.StringIO(), Meter()
    console = Console(file=said, force_terminal=True, width=120)
    with progress(console, "judge", "responses", 1, 4, meter):
        meter.items += 3
        meter.count(completion_tokens=9)
    assert "4/4" in said.getvalue()
    assert "tokens/s" in said.getvalue()
