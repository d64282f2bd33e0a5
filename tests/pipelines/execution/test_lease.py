"""One driver a run at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import refine
from pipelines.execution import job, lease
from pipelines.execution.lease import Holder, LeaseLost, RunLocked, held
from spar_core.dataset import Dataset
from tests.loopback import LoopbackServer
from tests.pipelines.rounds import SMALL, check

TAKERS = 8


@pytest.fixture
def dataset() -> Dataset:
    """Of a run on an object store."""
    return Dataset(f"memory://{uuid.uuid4().hex}/run", 1)


def leases(dataset: Dataset) -> dict[str, Holder | None]:
    paths = dataset.fs.ls(f"{dataset.root}/_lease", detail=False)
    return {path.rpartition("/")[2]: Holder.read(dataset.fs.cat_file(path)) for path in paths}


def write(dataset: Dataset, number: int, holder: Holder) -> None:
    dataset.fs.makedirs(f"{dataset.root}/_lease", exist_ok=True)
    assert dataset.create(f"{dataset.root}/_lease/{number}.json", holder.to_json())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "1/../../etc"},
        {"pid": True},
        {"pid": -1},
        {"host": 7},
        {"host": "here\x1b[2J"},
        {"process": None},
        {"process": "x" * 1000},
        {"more": 1},
    ],
)
def test_a_holder_that_no_driver_writes_is_none(change: dict[str, object]) -> None:
    plain = json.loads(Holder.me().to_json())
    assert Holder.read(json.dumps(plain).encode()) is not None
    assert Holder.read(json.dumps(plain | change).encode()) is None


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
    dataset = Dataset(str(tmp_path), 1)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(RunLocked, match=f"process {holder.pid} on "), held(dataset):
            pass
        assert lease.holder(dataset).pid == holder.pid  # type: ignore[union-attr]
        holder.kill()
        holder.wait()
    assert lease.holder(dataset) is None
    with held(dataset):
        pass


def test_on_an_object_store_a_second_holder_is_refused(dataset: Dataset) -> None:
    with held(dataset):
        said = f"process {os.getpid()} on .* wait for it.*free [1-9][0-9]? s from now"
        with pytest.raises(RunLocked, match=said), held(Dataset(dataset.run, 2)):
            pass
        assert lease.holder(dataset) is not None
    assert lease.holder(dataset) is None
    with held(dataset):
        pass
    assert leases(dataset) == {"2.json": None}, "numbers never come back"


def test_a_lease_is_renewed_as_long_as_its_holder_lives(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of a lease is counted from when its file was written last."""
    monkeypatch.setattr(lease, "RENEW_S", 0.02)
    with held(dataset) as hold:
        [path] = dataset.fs.ls(f"{dataset.root}/_lease", detail=False)
        for _ in range(15):
            written = dataset.fs.modified(path)
            until(lambda written=written: dataset.fs.modified(path) > written)  # type: ignore[misc]
            with pytest.raises(RunLocked), held(dataset):
                pass
        hold.check()
    assert lease.holder(dataset) is None


def test_of_many_takers_of_a_lease_that_is_over_one_gets_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dataset, 7, Holder("gone", 1, "", "before"))
    monkeypatch.setattr(lease, "ENDS_S", 0.05)
    time.sleep(0.1)
    begin, done = threading.Barrier(TAKERS), threading.Barrier(TAKERS)
    got: list[bool] = []

    def take() -> None:
        begin.wait()
        try:
            with held(dataset):
                got.append(True)
                done.wait()
        except RunLocked:
            got.append(False)
            done.wait()

    with monkeypatch.context() as lasting:
        # What they find is over; what one of them makes is not.
        left_s = lease._left_s
        lasting.setattr(
            lease, "_left_s", lambda d, taken: left_s(d, taken) if taken.number == 7 else 60.0
        )
        takers = [threading.Thread(target=take) for _ in range(TAKERS)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
    assert sorted(got) == [False] * (TAKERS - 1) + [True]
    assert leases(dataset) == {"8.json": None}


def test_a_taker_that_was_slow_does_not_get_a_number_that_is_past(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the first lease over; then others came and went, and took the names away again."""
    create = Dataset.create
    late: list[str] = []

    def slow(self: Dataset, path: str, data: bytes) -> bool:
        if not late:
            late.append(path)
            with held(dataset):
                pass
            with held(dataset):
                pass
            now.__enter__()
        return create(self, path, data)

    now = held(dataset)
    write(dataset, 1, Holder("gone", 1, "", "before"))
    monkeypatch.setattr(lease, "_left_s", lambda _, taken: 0.0 if taken.number == 1 else 60.0)
    monkeypatch.setattr(Dataset, "create", slow)
    with pytest.raises(RunLocked), held(dataset):
        pass
    assert late[0].endswith("/2.json")
    assert [*leases(dataset)] == ["4.json"]
    now.__exit__(None, None, None)


def test_a_holder_that_wakes_up_late_finds_that_it_has_lost(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = threading.Event()
    with pytest.raises(LeaseLost, match="taken over by process"), held(dataset, lost.set) as hold:
        monkeypatch.setattr(lease, "ENDS_S", -1.0)
        with held(dataset), pytest.raises(LeaseLost):
            hold.check()
        raise ValueError("what came of it")
    assert leases(dataset) == {"2.json": None}


def test_a_lost_lease_is_told_at_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.02)
    lost = threading.Event()
    with held(dataset, lost.set):
        write(dataset, 2, Holder("other", 1, "", "after"))
        assert lost.wait(120)


def test_a_dead_process_of_this_machine_is_not_waited_for(dataset: Dataset) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        who = Holder("here", process.pid, lease._process(process.pid), "before")
        write(dataset, 1, who)
        with pytest.raises(RunLocked), held(dataset):
            pass
        process.kill()
    with held(dataset):
        assert [*leases(dataset)] == ["2.json"]


def test_a_store_that_fails_for_a_while_loses_nothing(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.02)
    tries: list[int] = []
    with held(dataset) as hold:
        with monkeypatch.context() as down:

            def failing(*_: object) -> list[int]:
                tries.append(1)
                raise OSError("no route to the store")

            down.setattr(lease, "_numbers", failing)
            until(lambda: len(tries) > 3)
        hold.check()


def test_a_run_that_is_taken_over_stops_and_one_that_is_held_does_not_begin(
    dataset: Dataset,
    few: Path,
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ["--run", dataset.run, "--prompts", str(few), "--engine_url", server.url]
    line += [*SMALL, "--together", "off"]
    with held(dataset):
        assert refine.main(line) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: another process is working on the run {dataset.run}")
    assert len(said.splitlines()) == 1
    assert not server.bodies
    plan = job.plan
    taken = 0

    def taken_over(*arguments: object) -> object:
        nonlocal taken
        taken += 1
        if taken == 2:
            number = max(int(name.partition(".")[0]) for name in leases(dataset)) + 1
            write(dataset, number, Holder("other", 1, "", "after"))
        return plan(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as other:
        other.setattr(job, "plan", taken_over)
        assert refine.main(line) == 4
    said = capsys.readouterr().err
    assert f"stopped: the run {dataset.run} was taken over by process 1 on other" in said
    assert len(said.splitlines()) == 2
    monkeypatch.setattr(lease, "ENDS_S", -1.0)
    assert refine.main(line) == 0
    check(dataset.run, responses=2, depth=2, budget=3)
