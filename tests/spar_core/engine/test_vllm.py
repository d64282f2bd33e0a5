"""vLLM's server and client, without vLLM: a stand-in plays the server's process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
    time.sleep(600)
open({pids!r}, "w").write(f"{{os.getpid()}} {{child}}")
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


GUARDIAN = "import sys; from spar_core.engine import guardian as g; g._STOP_S = 0.2; "
PYTHON = f"""#!/bin/sh
if [ "$2" = spar_core.engine.guardian ]; then
    shift 2
    exec {sys.executable} -c '{GUARDIAN} sys.exit(g.main(sys.argv[1:]))' "$@"
fi
exec "$0.script" "$@"
"""
"""Runs the guardian, which waits less for the stubborn, and for anything else the script."""


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """The process that is started, and guarded, runs the script."""
    for name, content in (("python", PYTHON), ("python.script", script)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))


def test_grammar_goes_into_structured_outputs() -> None:
    request = ChatRequest((), Sampling(0, 1, 9), grammar='root ::= "x"')
    engine = object.__new__(VllmEngine)
    assert engine._extras(request) == {"structured_outputs": {"grammar": 'root ::= "x"'}}
    assert engine._extras(ChatRequest((), Sampling(0, 1, 9))) == {}


def test_server_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match="--model"):
        VllmServer("", tmp_path / "log")


def test_model_folder_that_is_not_there_is_said_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match=r"no model folder at .*nothere"):
        VllmServer(str(tmp_path / "nothere"), tmp_path / "log")


SAYS = {
    "the last line": ("seq 1 99; echo no room on the device >&2", "no room on the device"),
    "the line that names the error": (
        "echo 1; echo 'ValueError: no such quantization'; seq 2 99",
        "ValueError: no such quantization",
    ),
    "usage": ("echo 'server.py: error: unrecognized arguments: --x'; echo", "error: unrecogn"),
    "nothing": ("true", "no output"),
}


@pytest.mark.parametrize(("commands", "reason"), SAYS.values(), ids=SAYS)
def test_server_that_does_not_start_shows_the_line_that_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commands: str, reason: str
) -> None:
    stand_in(monkeypatch, tmp_path, f"#!/bin/sh\n{commands}\nexit 3\n")
    log = tmp_path / "new" / "log"
    log.parent.mkdir()
    log.write_text("RuntimeError: of the run before\n")
    with pytest.raises(EngineGone) as caught:
        VllmServer("m", log)
    said = str(caught.value)
    assert "exit code 3" in said and reason in said
    assert said.endswith(f"All it said is in {log}")
    assert len(said.splitlines()) == 2 and "of the run before" not in said
    assert log.read_text().startswith("RuntimeError: of the run before\n"), "the log is kept"
    assert ("99" in log.read_text().splitlines()) == ("seq" in commands)


def test_folder_of_the_log_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "#!/bin/sh\necho words\nexit 3\n")
    with pytest.raises(EngineGone, match="words"):
        VllmServer("m", tmp_path / "new" / "er" / "log")
    assert (tmp_path / "new" / "er" / "log").read_text() == "words\n"


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_server_is_up_when_it_is_healthy_and_gone_with_its_children_when_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scratch: Path
) -> None:
    pids = tmp_path / "pids"
    stand_in(monkeypatch, tmp_path, SERVER.format(python=sys.executable, pids=str(pids)))
    server = VllmServer("m", tmp_path / "log")
    assert server.url.startswith("http://127.0.0.1:")
    running = [int(pid) for pid in pids.read_text().split()]
    assert len(running) == 2 and all(map(lives, running))
    assert len(list(scratch.iterdir())) == 1
    server.close()
    assert not list(scratch.iterdir())
    assert wait_for(lambda: not any(map(lives, running)))


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


def arguments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, *more: str, slots: int = 9
) -> tuple[list[str], dict[str, str]]:
    """The server's command line and environment."""
    stand_in(monkeypatch, tmp_path, '#!/bin/sh\nfor a in "$@"; do echo "$a"; done\nenv\nexit 3\n')
    log = tmp_path / "log"
    with pytest.raises(EngineGone):
        VllmServer(model, log, slots=slots, arguments=more)
    lines = log.read_text().splitlines()
    words = [line for line in lines if not re.match(r"\w+=", line)]
    return words, dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def follows(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize("has_gpu", [False, True])
def test_server_is_told_model_slots_and_the_users_arguments_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_gpu: bool
) -> None:
    monkeypatch.setattr(vllm, "_has_gpu", lambda: has_gpu)
    words, _ = arguments(monkeypatch, tmp_path, "org/m", "--max-num-seqs", "7 8")
    assert follows(words, "--model") == follows(words, "--served-model-name") == "org/m"
    assert follows(words, "--host") == "127.0.0.1" and follows(words, "--max-num-seqs") == "9"
    assert words[-2:] == ["--max-num-seqs", "7 8"]
    assert ("--enforce-eager" in words) == (not has_gpu) == ("--max-model-len" in words)


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ('{"max_position_embeddings": 2048}', "2048"),
        ('{"max_position_embeddings": 131072}', "4096"),
        ("{}", "4096"),
        ("{", "4096"),
        (None, "4096"),
    ],
)
def test_context_without_a_gpu_is_the_models_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str | None, context: str
) -> None:
    monkeypatch.setattr(vllm, "_has_gpu", lambda: False)
    model = tmp_path / "model"
    model.mkdir()
    if config is not None:
        (model / "config.json").write_text(config)
    words, environment = arguments(monkeypatch, tmp_path, str(model))
    assert follows(words, "--max-model-len") == context
    assert follows(words, "--max-num-batched-tokens") == context
    assert environment["HF_HUB_OFFLINE"] == "1", "a folder is never looked for elsewhere"


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ("fma avx avx2", "float32"),
        ("avx512f avx512_bf16", None),
        ("amx_bf16 amx_tile", None),
        ("Features : asimd bf16", None),
        (None, None),
    ],
)
def test_without_instructions_for_bfloat16_a_cpu_decodes_in_float32(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str | None, dtype: str | None
) -> None:
    cpu = tmp_path / "cpuinfo"
    if flags is not None:
        cpu.write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(vllm, "CPU_INFO", cpu)
    monkeypatch.setattr(vllm, "_has_gpu", lambda: False)
    words, environment = arguments(monkeypatch, tmp_path, "org/m")
    assert ("--dtype" in words) == (dtype is not None)
    assert dtype is None or follows(words, "--dtype") == dtype
    assert environment["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"


def test_with_a_gpu_the_cpu_decides_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text("flags : avx2\n")
    monkeypatch.setattr(vllm, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(vllm, "_has_gpu", lambda: True)
    assert "--dtype" not in arguments(monkeypatch, tmp_path, "org/m")[0]


def test_scratch_of_a_server_is_its_own_and_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scratch: Path
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    _, environment = arguments(monkeypatch, tmp_path, "org/m")
    assert Path(environment["TMPDIR"]).parent == scratch
    assert not list(scratch.iterdir())
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "7", "what the user set comes first"
    assert "HF_HUB_OFFLINE" not in environment


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scratch: Path) -> list[int]:
    """The processes of a server whose owner was killed; `scratch` had its files."""
    pids = tmp_path / "pids"
    real = sys.executable
    stand_in(monkeypatch, tmp_path, SERVER.format(python=real, pids=str(pids)))
    owner = (
        "import sys, time; from spar_core.engine.vllm import VllmServer; from pathlib import Path; "
        f"sys.executable = {sys.executable!r}; server = VllmServer('m', Path({str(tmp_path)!r}, "
        "'log')); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([real, "-c", owner], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    assert len(list(scratch.iterdir())) == 1
    process.kill()
    process.communicate()
    return [int(pid) for pid in pids.read_text().split()]


def wait_for(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def test_server_of_a_process_that_is_killed_is_gone(killed: list[int]) -> None:
    assert len(killed) == 2
    assert wait_for(lambda: not any(map(lives, killed)))


def test_scratch_of_a_process_that_is_killed_is_gone(killed: list[int], scratch: Path) -> None:
    assert wait_for(lambda: not any(map(lives, killed)))
    assert wait_for(lambda: not list(scratch.iterdir()))
