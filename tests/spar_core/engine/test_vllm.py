"""vLLM's server and client, without vLLM: a stand-in plays the server's process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from spar_core.engine import vllm
from spar_core.engine.protocol import ChatRequest, EngineGone, Sampling
from spar_core.engine.vllm import VllmEngine, VllmServer

SERVER = """#!{python}
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if not child:
    time.sleep(60)
open({pids!r}, "w").write(f"{{os.getpid()}} {{child}}")
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """The process that is started runs the script."""
    path = tmp_path / "python"
    path.write_text(script)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_grammar_goes_into_structured_outputs() -> None:
    request = ChatRequest((), Sampling(0, 1, 9), grammar='root ::= "x"')
    engine = object.__new__(VllmEngine)
    assert engine._extras(request) == {"structured_outputs": {"grammar": 'root ::= "x"'}}
    assert engine._extras(ChatRequest((), Sampling(0, 1, 9))) == {}


def test_server_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match="--model"):
        VllmServer("", tmp_path / "log")


def test_server_that_does_not_start_shows_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, "#!/bin/sh\nseq 1 99\necho no room on the device >&2\nexit 3\n")
    with pytest.raises(EngineGone) as caught:
        VllmServer("m", tmp_path / "new" / "log")
    said = str(caught.value)
    assert "exit code 3" in said and "no room on the device" in said
    assert str(tmp_path / "new" / "log") in said
    assert "\n99\n" in said and "\n1\n" not in said


def test_server_is_up_when_it_is_healthy_and_gone_with_its_children_when_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    stand_in(monkeypatch, tmp_path, SERVER.format(python=sys.executable, pids=str(pids)))
    monkeypatch.setattr(vllm, "_STOP_TIMEOUT_S", 0.2)
    server = VllmServer("m", tmp_path / "log")
    assert server.url.startswith("http://127.0.0.1:")
    running = [int(pid) for pid in pids.read_text().split()]
    assert len(running) == 2 and all(map(lives, running))
    server.close()
    deadline = time.monotonic() + 5
    while any(map(lives, running)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(lives, running))


def lives(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_server_that_stays_silent_is_given_up_and_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    monkeypatch.setattr(vllm, "START_TIMEOUT_S", 0.7)
    with pytest.raises(EngineGone, match="did not answer"):
        VllmServer("m", tmp_path / "log")
    assert not lives(int((tmp_path / "pid").read_text()))
