"""Peers: a whole round by our job, by a plain asyncio script and by datatrove's inference runner.

All ask a simulated engine for the same sequences (`plain_round`), one after the other, each in a
process of its own: how near the engine's floor they come, what CPU and memory they take, and what
they lose when they are killed once, at half of the answers, and started again. Datatrove has an
environment of its own (`make peers`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness, report
from benchmarks.harness import JobFailed, Simulator
from benchmarks.report import Report

PROMPTS, QUICK_PROMPTS = 256, 24
PYTHON = harness.ROOT / ".venv-peers" / "bin" / "python"
DATATROVE = "datatrove's inference runner"
NOT_INSTALLED = "not installed: make peers"

_POLL_S = 0.05
_OURS = "select response from responses union all select response from nodes where depth > 0"


@dataclass(frozen=True, slots=True)
class Task:
    """What every client is given: the server, its slots, and a file of prompts."""

    url: str
    prompts: Path
    slots: int


@dataclass(frozen=True, slots=True)
class Client:
    """A program that does the round.

    command: its command line, given what to do and the place of its output.
    texts: the responses and refinements that its output holds.
    """

    name: str
    command: Callable[[Task, Path], list[str]]
    texts: Callable[[Path], Counter[str]]


def clients(python: Path = PYTHON) -> list[Client]:
    """The clients in the order in which they run; datatrove's where its environment is there."""

    def ours(task: Task, output: Path) -> list[str]:
        line = [sys.executable, "-m", "pipelines.refine", "--run", str(output)]
        line += ["--prompts", str(task.prompts), "--engine_url", task.url]
        return [*line, "--slots", str(task.slots)]

    def peer(interpreter: str, module: str) -> Callable[[Task, Path], list[str]]:
        def command(task: Task, output: Path) -> list[str]:
            words = [interpreter, "-m", module, task.url, str(task.prompts), str(output)]
            return [*words, str(task.slots)]

        return command

    found = [
        Client("ours: refine", ours, _texts_of_run),
        Client(
            "an asyncio script", peer(sys.executable, "benchmarks.peer_asyncio"), _texts_of_lines
        ),
    ]
    if python.is_file():
        found.append(
            Client(DATATROVE, peer(str(python), "benchmarks.peer_datatrove"), _texts_of_documents)
        )
    return found


def _texts_of_run(run: Path) -> Counter[str]:
    return Counter(text for (text,) in harness.query(run, _OURS))


def _texts_of_lines(file: Path) -> Counter[str]:
    return _texts(_rows(file))


def _texts_of_documents(folder: Path) -> Counter[str]:
    documents = [row for file in folder.glob("output/*.jsonl") for row in _rows(file)]
    return _texts([document["metadata"]["rollout_results"][0] for document in documents])


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _texts(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(text for row in rows for text in (*row["responses"], *row["refinements"]))


def measure(
    prompts: int = PROMPTS,
    *,
    slots: int = 256,
    speed: float = 1.0,
    url: str = "",
    python: Path = PYTHON,
) -> Report:
    """Run the round by each client undisturbed, then killed at half and started again.

    Args:
        url: of a server that runs already, with `/stats` and `/reset`: undisturbed alone, since it
            has no need to repeat its answers.
        python: of the environment that has datatrove.
    """
    machine = report.machine()
    found: dict[str, dict[str, Any]] = {}
    with harness.folder() as place, _engine(url, slots, speed) as simulator:
        file = harness.write_prompts(place / "prompts.jsonl", prompts)
        task = Task(simulator.url, file, slots)
        for number, client in enumerate(clients(python)):
            calm, texts = _undisturbed(client, task, place / f"calm-{number}", simulator)
            found[client.name] = calm
            if not url:
                killed = _killed(client, task, place / f"killed-{number}", simulator, calm, texts)
                calm["killed"] = killed
    where = f"{prompts} prompts, {slots} slots"
    rows = [[name, *_cells(values)] for name, values in found.items()]
    if DATATROVE not in found:
        rows.append([DATATROVE, NOT_INSTALLED, *[""] * (len(_COLUMNS) - 2)])
    return Report(
        "peers",
        f"Peers, a whole round each: {where}",
        _COLUMNS,
        rows,
        [
            (
                f"a round by {name}: wall over the floor; CPU of 1,000 sequences; memory at most",
                f"{values['wall_over_floor']:.3f}; {values['cpu_s_per_1000']:.2f} s; "
                f"{values['peak_mb']:.0f} MB",
                where,
            )
            for name, values in found.items()
        ],
        {
            "machine": machine,
            "prompts": prompts,
            "slots": slots,
            "speed": speed,
            "clients": found,
        },
    )


_COLUMNS = (
    "client",
    "wall / floor",
    "CPU s per 1,000 sequences",
    "MB at most",
    "s from start to end",
    "sequences",
    "killed at half: answered and asked again",
    "tokens over undisturbed",
    "texts lost",
    "twice",
)


def _cells(values: dict[str, Any]) -> list[object]:
    killed = values.get("killed")
    return [
        f"{values['wall_over_floor']:.3f}",
        values["cpu_s_per_1000"],
        round(values["peak_mb"]),
        values["job_wall_s"],
        values["sequences"],
        *(
            (killed["answered_again"], f"{killed['tokens_over']:.3f}", killed["lost"])
            if killed
            else ("", "", "")
        ),
        killed["twice"] if killed else "",
    ]


@contextmanager
def _engine(url: str, slots: int, speed: float) -> Iterator[Simulator]:
    """The server at a URL, or a simulator of which one answer in twenty cannot be read."""
    if url:
        yield Simulator(url.rstrip("/"))
        return
    options = ("--slots", str(slots), "--speed", str(speed), "--malformed-rate", "0.05")
    with harness.simulating(*options) as simulator:
        yield simulator


def _undisturbed(
    client: Client, task: Task, output: Path, simulator: Simulator
) -> tuple[dict[str, Any], Counter[str]]:
    """What a client and the engine did for a round, and the texts that came of it."""
    simulator.reset()
    measured = output.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks.usage_of", str(measured)]
    log = output.with_suffix(".log")
    process = harness.begin([*command, *client.command(task, output)], log)
    harness.end(process, client.name, log)
    taken, stats = json.loads(measured.read_text()), simulator.stats()
    stats.pop("timeline", None)
    texts = client.texts(output)
    return {
        **stats,
        "job_wall_s": taken["wall_s"],
        "cpu_s": taken["cpu_s"],
        "cpu_s_per_1000": 1000 * taken["cpu_s"] / stats["sequences"],
        "peak_mb": taken["resident_bytes"] / 2**20,
        "texts": texts.total(),
        "texts_digest": _digest(texts),
    }, texts


def _killed(
    client: Client,
    task: Task,
    output: Path,
    simulator: Simulator,
    calm: dict[str, Any],
    texts: Counter[str],
) -> dict[str, Any]:
    """What a kill at half of the answers costs a client that is started again, over `calm`."""
    simulator.reset()
    command, log = client.command(task, output), output.with_suffix(".log")
    process = harness.begin(command, log)
    try:
        while (stats := simulator.stats())["answered"] < calm["answered"] / 2:
            if process.poll() is not None:
                raise JobFailed(f"{client.name} ended before its kill:\n{log.read_text()[-2000:]}")
            time.sleep(_POLL_S)
    finally:
        harness.kill(process)
    harness.end(harness.begin(command, log), client.name, log)
    ended, held = simulator.stats(), client.texts(output)
    return {
        "answered_at_kill": stats["answered"],
        "answered_again": ended["answered"] - calm["answered"],
        "tokens_over": ended["completion_tokens"] / calm["completion_tokens"],
        "lost": (texts - held).total(),
        "twice": (held - texts).total(),
    }


def _digest(texts: Counter[str]) -> str:
    """Equal where the texts are, in whatever order they came."""
    return hashlib.sha256(json.dumps(sorted(texts.elements())).encode()).hexdigest()[:16]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--url", default="", help="a server with /stats and /reset; no kills then")
    parser.add_argument("--python", type=Path, default=PYTHON, help="that has datatrove")
    o = parser.parse_args(argv)
    made = measure(o.prompts, slots=o.slots, speed=o.speed, url=o.url, python=o.python)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")
    sys.stdout.write(json.dumps(made.data["clients"], indent=1) + "\n")


if __name__ == "__main__":
    main()
