"""The whole round on vLLM without a GPU: its server started, used, killed and missed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from pipelines import refine
from spar_core.engine.openai import Call
from spar_core.engine.protocol import ChatAnswer
from spar_core.engine.vllm import VllmEngine, VllmServer
from tests.pipelines.rounds import check, query, start

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None,
        reason="vLLM is not installed here: make test-vllm",
    ),
]

PROMPTS, RESPONSES, DEPTH, BUDGET = 4, 2, 2, 6
SMALL = [
    *("--limit", str(PROMPTS), "--responses", str(RESPONSES), "--votes", "3"),
    *("--depth", str(DEPTH), "--budget", str(BUDGET), "--constrained", "on"),
    *("--actor_max_tokens", "128", "--judge_max_tokens", "64", "--refine_max_tokens", "128"),
]


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server that tests attach to."""
    log = tmp_path_factory.mktemp("server") / "engine.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_SERVER_DEV_MODE", "1")  # for /reset_prefix_cache
        running = VllmServer(str(checkpoint), log)
    yield running
    running.close()
    assert not writers(log)


def own(run: Path, model: Path) -> list[str]:
    """The command line of a small round with a server of its own."""
    return ["--run", str(run), "--engine", "vllm", "--model", str(model), *SMALL]


def writers(log: Path) -> list[int]:
    """Processes whose output goes to a log: vLLM's rename themselves, but this they cannot hide."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(process / "fd" / "1") == str(log.resolve()):
                    found.append(int(process.name))
    return found


def wait_for(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextlib.contextmanager
def job(*argv: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A job in a process of its own; whatever happens, it and its server end."""
    process = start(*argv)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        if not wait_for(lambda: not writers(log), 30):
            for pid in writers(log):
                os.kill(pid, signal.SIGKILL)


def test_the_round_on_a_server_of_its_own(checkpoint: Path, tmp_path: Path, scratch: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "engine.log"
    with job(*own(run, checkpoint), log=log) as process:
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, out + err
        assert not writers(log), "the server is gone before the job is"
    assert not list(scratch.glob("spar-*"))
    check(run, responses=RESPONSES, depth=DEPTH, budget=BUDGET)
    assert query(run, "select count(*) from prompts") == [(PROMPTS,)]
    assert query(run, "select count(*) from failures") == [(0,)]
    assert query(run, "select distinct model from responses") == [(checkpoint.name,)]
    votes = "(select unnest(votes, recursive := true) from judgements)"
    assert query(run, f"select count(*) from {votes}") == [(PROMPTS * RESPONSES * 3,)]
    unreadable = f"select count(*) from {votes} where vote is null and finish_reason <> 'length'"
    assert query(run, unreadable) == [(0,)], "the grammar holds every vote that ends by itself"
    readable = query(run, f"select count(*) from {votes} where vote is not null")[0][0]
    assert readable >= PROMPTS * RESPONSES * 3 - 2, "few are cut off: the reasons are kept short"
    spent = "select sum(completion_tokens)::int from"
    assert query(run, f"{spent} usage") == query(run, f"{spent} token_cost")
    assert was_asked(log), "its log is kept"


def test_killed_job_leaves_no_server_behind(
    checkpoint: Path, tmp_path: Path, scratch: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "engine.log"
    with job(*own(run, checkpoint), log=log) as process:
        assert wait_for(lambda: process.poll() is not None or was_asked(log), 300)
        assert process.poll() is None
        assert len(writers(log)) >= 3, "guardian, server and engine"
        process.kill()
        assert wait_for(lambda: not writers(log), 30), "no process of the server is left"
        assert wait_for(lambda: not list(scratch.glob("spar-*")), 5), "nor its temporary files"


def was_asked(log: Path) -> bool:
    """Whether the server has answered a request."""
    return log.exists() and "POST /v1/chat/completions" in log.read_text(errors="replace")


def test_missing_checkpoint_is_explained_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, log = tmp_path / "run", tmp_path / "run" / "engine.log"
    (tmp_path / "no_such_model").mkdir()
    code = refine.main(own(run, tmp_path / "no_such_model"))
    said = capfd.readouterr()
    print(said.err)
    assert code == 4, said
    assert said.err.startswith("error: stopped: vLLM with ")
    assert "Traceback" not in said.out + said.err
    assert said.err.count("did not start") == 1 and len(said.err.splitlines()) <= 5
    assert said.err.count(str(log)) == 1 and "no_such_model" in said.err
    assert log.exists() and not writers(log)


@pytest.mark.slow
def test_speed_beside_a_plain_loop(
    server: VllmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prints tokens a second; how the two compare is not asserted, two cores are shared."""
    bodies: list[bytes] = []
    ask = VllmEngine._try

    async def noted(self: VllmEngine, call: Call) -> ChatAnswer:
        bodies.append(call.payload)
        return await ask(self, call)

    monkeypatch.setattr(VllmEngine, "_try", noted)
    run = tmp_path / "run"
    began = time.monotonic()
    assert (
        refine.main(["--run", str(run), "--engine", "vllm", "--engine_url", server.url, *SMALL])
        == 0
    )
    round_s = time.monotonic() - began
    check(run, responses=RESPONSES, depth=DEPTH, budget=BUDGET)
    [(round_tokens, engine_s)] = query(
        run, "select sum(completion_tokens)::int, sum(engine_s) from usage"
    )

    reset = urllib.request.Request(f"{server.url}/reset_prefix_cache", method="POST")
    with urllib.request.urlopen(reset, timeout=10):
        pass
    began = time.monotonic()
    plain_tokens = asyncio.run(plain_loop(server.url, bodies))
    plain_s = time.monotonic() - began

    assert round_tokens > 0 and plain_tokens > 0
    print(
        f"\n{len(bodies)} requests. The round: {round_tokens} tokens in {round_s:.1f} s "
        f"({round_tokens / round_s:.0f}/s; {round_tokens / engine_s:.0f}/s of engine time). "
        f"All of them at once: {plain_tokens} tokens in {plain_s:.1f} s "
        f"({plain_tokens / plain_s:.0f}/s)."
    )


async def plain_loop(url: str, bodies: list[bytes]) -> int:
    """Sends all requests at once; returns the tokens of the answers."""
    headers = {"Content-Type": "application/json"}

    async def ask(session: aiohttp.ClientSession, body: bytes) -> int:
        async with session.post(f"{url}/v1/chat/completions", data=body) as response:
            answer = json.loads(await response.read())
        assert len(answer["choices"]) == json.loads(body).get("n", 1)
        return int(answer["usage"]["completion_tokens"])

    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=500)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers
    ) as session:
        return sum(await asyncio.gather(*[ask(session, body) for body in bodies]))
