"""The way from prompts to a better model: the command that the user of a job needs next.

    evolve -> refine -> report -> dpo -> serve -> evaluate -> compare

A job asks for its command here, and prints `following(...)` last. What a user has to fill in is in
capitals: FOLDER is a checkpoint, FILES are files of prompts, URL is a server.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from terminal.interpreter import python

WITHIN = "SPAR_WITHIN"
"""The environment variable of jobs that are part of another one, which ends the trail itself."""

FOLDER, FILES, URL = "FOLDER", "FILES", "URL"

_ACTOR_PORT, _REFINER_PORT = 8001, 8002
"""Ports of new models; the model before is taken to be at vLLM's own, 8000."""


def following(*commands: str) -> str:
    """Return the lines that end a job: its next command, and those that come after it.

    A job that is part of another one has no end of its own: "".
    """
    if WITHIN in os.environ:
        return ""
    leads = ["Next", *["Then"] * (len(commands) - 1)]
    return "\n".join(f"{lead}: {command}" for lead, command in zip(leads, commands, strict=True))


def stage(name: str, run: str, more: Sequence[str] = ()) -> str:
    """Return the command of a data round, or of one of its stages.

    Args:
        name: the job in `pipelines`.
        run: the run's folder.
        more: further arguments: engines, an iteration, a variant.
    """
    return _job(f"pipelines.{name}", "--run", run, *more)


def query(run: str, sql: str) -> str:
    """Return the command that asks a run a question; the answer should be a few lines."""
    return _job("inspection.sql", "--run", run, "--sql", sql)


def failures(run: str) -> str:
    """Return the command that says why items failed, a line for each cause."""
    return query(run, "select stage, error, items, example from failures_by_cause")


def report(run: str) -> str:
    """Return the command that writes the page of a run, beside the run if it is on a disk."""
    name = run.rstrip("/")
    page = f"{name.rpartition('/')[2] if '://' in name else name}.html"
    return _job("inspection.report", "--run", run, "--output", page)


def dpo(run: str, iteration: int, arguments: Sequence[str] = ()) -> str:
    """Return the command that trains the next actor.

    Args:
        run: the run with the pairs.
        iteration: whose pairs they are; the actor is that of the iteration after it.
        arguments: which pairs are meant: `--where`, `--method`, `--variant`.
    """
    return _training("dpo", (), run, f"actor-{iteration + 1}", arguments)


def sft(run: str, task: str, iteration: int) -> str:
    """Return the command that trains a first model on a teacher's lessons.

    Args:
        run: the run with the lessons.
        task: `actor` or `refiner`.
        iteration: that holds the lessons; 0 is what comes before the self-play.
    """
    return _training("sft", ("--task", task), run, f"{task}-{max(1, iteration)}", ())


def serve(model: str, *, is_refiner: bool = False) -> str:
    """Return the command that serves a checkpoint, on a port beside that of the model before."""
    return shlex.join(["vllm", "serve", model, "--port", str(_port(is_refiner))])


def served(*, is_refiner: bool = False) -> str:
    """Return the URL that `serve` gives a checkpoint."""
    return f"http://localhost:{_port(is_refiner)}"


def evaluate(
    run: str,
    iteration: int,
    engine: Sequence[str],
    data: Sequence[str] = (),
    against: int | None = None,
    judge: str = URL,
) -> str:
    """Return the command that evaluates a model on the user's own prompts.

    Args:
        run: the run whose held-out prompts they are, and which keeps the answers.
        iteration: that the answers go into.
        engine: arguments that name the model's engine.
        data: `--data FILES` where the prompts are not those that the run holds out.
        against: the iteration of the older answers that a judge compares them with.
        judge: the URL of that judge.
    """
    which = [] if iteration == 1 else ["--iteration", str(iteration)]
    compared = [] if against is None else ["--against", str(against), "--judge_url", judge]
    asked = ["--benchmark", "custom", *data, *engine, *which, *compared]
    return stage("evaluate", run, asked)


def compare(run: str) -> str:
    """Return the command that shows a run's evaluations side by side."""
    return _job("inspection.compare", "--runs", run)


def _training(
    name: str, task: Sequence[str], run: str, output: str, arguments: Sequence[str]
) -> str:
    """Return the command of a training; its checkpoint is in the run if that is on a disk."""
    folder = f"models/{output}" if "://" in run else f"{run.rstrip('/')}/models/{output}"
    chosen = ["--data", run, *arguments]
    return _job(f"training.{name}", *task, *chosen, "--model", FOLDER, "--output", folder)


def _port(is_refiner: bool) -> int:
    return _REFINER_PORT if is_refiner else _ACTOR_PORT


def _job(module: str, *words: str) -> str:
    return f"{python()} -m {module} {shlex.join(words)}"
