"""What comes after a training: its model is served, then evaluated or refined with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import own_evaluations
from schemas.views import connect
from terminal import trail
from training.data import is_run

if TYPE_CHECKING:
    from pathlib import Path

_RUN, _EVALUATION = "runs/mine", "runs/eval"
"""Runs that a user has who trained on files."""


def following(record: dict[str, Any], folder: Path) -> str:
    """Return the lines that say what to do with a trained model; "" if its run cannot be read.

    Args:
        record: of the training (`training.json`).
        folder: the model's.
    """
    import duckdb

    try:
        return trail.following(*_commands(record, str(folder)))
    except (duckdb.Error, OSError, ValueError):  # the training itself is done
        return ""


def _commands(record: dict[str, Any], model: str) -> list[str]:
    job, task, data = record["job"], record["task"], record["data"]["source"]
    if job == "dpo":
        return [trail.serve(model), _evaluation(data)]
    if job == "rft" or task == "refiner":
        return [trail.serve(model, is_refiner=True), _round(data, job)]
    if task == "actor" and is_run(data) and (lessons := _last(data, "sft_refiner")) is not None:
        return [trail.sft(data, "refiner", lessons)]
    return [trail.serve(model)]


def _evaluation(data: str) -> str:
    """Return the command that evaluates the served actor, beside the last one that was."""
    engine = ["--engine_url", trail.served()]
    files = ["--data", trail.FILES]
    if not is_run(data):
        return trail.evaluate(_EVALUATION, 2, engine, files)
    own = own_evaluations.read(data)
    last = max(own.iterations, default=None)
    against = None if own.has_figures else last
    asked = [] if own.held_out else files
    return trail.evaluate(data, (last or 1) + 1, engine, asked, against)


def _round(data: str, job: str) -> str:
    """Return the command of the data round that the served refiner is for."""
    last = _last(data, "rft") if job == "rft" and is_run(data) else None
    after = [] if last is None else ["--iteration", str(last + 1)]
    given = ["--prompts", trail.FILES, "--engine_url", trail.served()]
    given += ["--refiner_url", trail.served(is_refiner=True)]
    return trail.stage("refine", data if is_run(data) else _RUN, [*after, *given])


def _last(run: str, table: str) -> int | None:
    """Return the last iteration that has rows in a table."""
    with connect(run, (table,)) as connection:
        [(last,)] = connection.sql(f"select max(iteration) from {table}").fetchall()
    return None if last is None else int(last)
