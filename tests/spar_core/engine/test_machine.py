"""One server for several processes of a machine: real processes, real locks, real kills."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from spar_core.engine import machine as module
from spar_core.engine.bundled import bundled_model
from spar_core.engine.machine import Command, Machine
from spar_core.engine.protocol import EngineGone

SERVER = """
import http.server, os, sys, time
print("about to serve", flush=True)
time.sleep({slow})
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""

SHARER = """
import os, sys, urllib.request
from pathlib import Path
from spar_core.engine.machine import Machine
from tests.spar_core.engine.test_machine import serving
print("began", flush=True)
seat = Machine(Path({folder!r})).join({key!r}, serving(slow={slow}))
print(urllib.request.urlopen(seat.url).read().decode(), flush=True)
for _ in sys.stdin:
    seat.count()
    print(seat.sharers, flush=True)
seat.close()
"""


def serving(slow: float = 0.0, bears_others: bool = True) -> Callable[[int], Command]:
    """How a small server is started that tells its process."""

    def command(port: int) -> Command:
        script = SERVER.format(slow=slow, port=port)
        return Command("small", [sys.executable, "-c", script], os.environ, bears_others)

    return command


class Sharer:
    """A process that uses the server of a key until it is told to leave, or killed."""

    def __init__(self, folder: Path, key: str = "k", slow: float = 0.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHARER.format(folder=str(folder), key=key, slow=slow)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "began"

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    @property
    def _input(self) -> IO[str]:
        assert self.process.stdin
        return self.process.stdin

    def server(self) -> int:
        """The process of the server, once it answers."""
        return int(self._line())

    def sharers(self) -> int:
        self._input.write("\n")
        self._input.flush()
        return int(self._line())

    def leave(self) -> None:
        self._input.close()
        assert self.process.wait(120) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the machine's servers are; nothing may be left in the end."""
    place = tmp_path / "machine"
    yield place
    assert until(lambda: not place.exists()), sorted(place.rglob("*"))


def until(holds: Callable[[], bool]) -> bool:
    """Whether something comes about within a while."""
    deadline = time.monotonic() + 120
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_processes_share_one_server_and_the_last_one_ends_it(folder: Path) -> None:
    sharers = [Sharer(folder) for _ in range(3)]
    (server,) = {each.server() for each in sharers}
    assert [each.sharers() for each in sharers] == [3, 3, 3]
    sharers[0].leave()
    sharers[1].leave()
    assert sharers[2].sharers() == 1 and not is_gone(server)
    sharers[2].leave()
    assert until(lambda: is_gone(server))


def test_server_outlives_the_process_that_started_it_and_goes_with_the_last(folder: Path) -> None:
    first = Sharer(folder)
    server = first.server()
    second = Sharer(folder)
    assert second.server() == server
    first.kill()
    assert until(lambda: second.sharers() == 1)
    third = Sharer(folder)
    assert third.server() == server
    second.kill()
    third.kill()
    assert until(lambda: is_gone(server))


def test_starter_killed_before_its_server_answers_holds_up_nobody(folder: Path) -> None:
    first = Sharer(folder, slow=2)
    second = Sharer(folder, slow=2)
    assert until(lambda: len(list(folder.glob("*/seats/*"))) == 2)
    first.kill()
    began = time.monotonic()
    server = second.server()
    assert time.monotonic() - began < 60
    second.leave()
    assert until(lambda: is_gone(server))


def test_all_killed_at_once_leave_nothing_that_holds_up_the_next(folder: Path) -> None:
    sharers = [Sharer(folder) for _ in range(2)]
    (server,) = {each.server() for each in sharers}
    for each in sharers:
        os.kill(each.process.pid, signal.SIGKILL)
    later = Sharer(folder)
    other = later.server()
    assert other == server or until(lambda: is_gone(server)), "two are never left"
    later.leave()
    for each in sharers:
        each.process.wait()


def test_server_that_died_is_started_anew_for_who_comes_next(folder: Path) -> None:
    first = Sharer(folder)
    server = first.server()
    os.kill(server, signal.SIGKILL)
    assert until(lambda: is_gone(server))
    second = Sharer(folder)
    assert second.server() != server
    first.leave()
    second.leave()


def test_server_whose_death_is_not_noticed_yet_is_started_anew_for_who_joins(folder: Path) -> None:
    first = Sharer(folder)
    server = first.server()
    guardian = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guardian, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    second = Sharer(folder)
    assert until(lambda: len(list(folder.glob("*/seats/*"))) == 2)
    os.kill(guardian, signal.SIGCONT)
    assert second.server() != server
    first.leave()
    second.leave()


def test_folder_of_a_machine_that_was_switched_off_is_no_server(folder: Path) -> None:
    place = folder / module.hashlib.sha256(b"k").hexdigest()[:16]
    (place / "seats").mkdir(parents=True)
    (place / "seats" / "1-x").touch()
    (place / "alive").touch()
    (place / "state.json").write_text(json.dumps({"url": "http://127.0.0.1:9"}))
    seat = Machine(folder).join("k", serving())
    assert seat.is_up and seat.sharers == 1
    seat.close()


def test_server_that_bears_no_other_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_S", 0.1)
    machine = Machine(folder)
    first = machine.join("one", serving(bears_others=False))
    with pytest.raises(EngineGone, match=r"^another engine of this machine is in use.*a URL$"):
        machine.join("other", serving())
    monkeypatch.setattr(module, "TURN_S", 20)
    first.close()
    second = machine.join("other", serving())
    with pytest.raises(OSError):
        urllib.request.urlopen(first.url)
    machine.join("third", serving()).close()
    second.close()


def words(script: str) -> Callable[[int], Command]:
    return lambda _: Command("small", ["/bin/sh", "-c", script], os.environ, True)


@pytest.mark.parametrize("place", ["the run's", "the machine's"])
def test_server_that_does_not_start_says_why(place: str, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("RuntimeError: of an earlier one\n")
    machine = Machine(folder, log if place == "the run's" else None)
    with pytest.raises(EngineGone) as caught:
        machine.join("k", words("echo 'ValueError: no room'; exit 3"))
    kept = f"\nAll it said is in {log}" if place == "the run's" else ""
    assert str(caught.value) == f"small did not start (exit code 3): ValueError: no room{kept}"
    machine.join("k", serving()).close()


def test_what_a_server_says_is_logged_once_by_one_of_those_who_share_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(folder)
    with caplog.at_level(logging.INFO, "spar_core.engine.output"):
        first, second = machine.join("k", serving()), machine.join("k", serving())
        assert until(lambda: "about to serve" in said(caplog))
        time.sleep(2 * module._POLL_S)
        assert said(caplog).count("about to serve") == 1
        first.close()
        with (next(folder.glob("*/log"))).open("a") as log:
            time.sleep(3 * module._POLL_S)  # the other one takes over
            log.write("half a line")
            log.flush()
            time.sleep(2 * module._POLL_S)
            assert said(caplog) == ["about to serve"]
            log.write(" and the rest\n")
        assert until(lambda: said(caplog)[1:] == ["half a line and the rest"])
        second.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What servers said, without what the libraries of other tests log meanwhile."""
    return [each.getMessage() for each in caplog.records if each.name == "spar_core.engine.output"]


def test_log_of_a_run_is_written_there_and_not_logged(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "spar_core.engine.output"):
        Machine(folder, tmp_path / "run" / "log").join("k", serving()).close()
    assert (tmp_path / "run" / "log").read_text() == "about to serve\n" and not caplog.messages


ENGINES = """
import sys
from pathlib import Path
from spar_core.engine.engines import Engines
from spar_core.engine.machine import Machine
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.spec import EngineSpec
engines = Engines(machine=Machine(Path(sys.argv[1])))
lease = engines.using({"actor": EngineSpec("llamacpp", slots=8)})
print(lease.slots, flush=True)
for line in sys.stdin:
    request = ChatRequest(({"role": "user", "content": line},), Sampling(0, 1, 4))
    answer = engines.run(lease.engines["actor"].chat(request)).choices[0]
    print(lease.slots, lease.engines["actor"]._gate.limit, repr(answer.text), flush=True)
"""


@pytest.mark.engine
def test_engines_of_several_processes_are_one_llama_cpp_whose_slots_they_share(
    folder: Path,
) -> None:
    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", ENGINES, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(process: subprocess.Popen[str], text: str) -> list[str]:
        assert process.stdin and process.stdout
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        return process.stdout.readline().split(maxsplit=2)

    def servers() -> Sequence[str]:
        found = subprocess.run(
            ["pgrep", "-f", f"spar_core.engine.llamacpp --model {bundled_model()}"],
            capture_output=True,
            check=False,
            text=True,
        )
        return found.stdout.split()

    before = set(servers())
    one, other = started(), started()
    for process in (one, other):
        assert process.stdout and int(process.stdout.readline()) in (4, 8)
    assert until(lambda: say(one, "hi")[:2] == ["4", "8"])
    said = [say(process, "Name a colour.") for process in (one, other)]
    assert said[0] == said[1] and said[0][:2] == ["4", "8"] and len(said[0][2]) > 2
    assert len(guarded := set(servers()) - before) == 2, "a guardian and its server"
    one.kill()  # the one that started it, or the other: both must be borne
    one.wait()
    assert until(lambda: say(other, "hi")[:2] == ["8", "16"])
    assert set(servers()) - before == guarded
    other.kill()
    other.wait()
    assert until(lambda: not set(servers()) - before)
