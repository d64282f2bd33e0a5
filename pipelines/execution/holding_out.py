"""Prompts that a run holds out: no data round samples, judges or trains on them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence

from pipelines.execution import intake
from schemas.prompts import HELD_OUT
from spar_core.dataset import Dataset
from spar_core.ids import form_id, prompt_id
from spar_core.input_files import STDIN, find
from spar_core.prompt_columns import COLUMNS
from spar_core.prompt_files import InputRow, read
from terminal.exits import InputError


def hold_out(dataset: Dataset, files: str, count: int, columns: Sequence[str] = COLUMNS) -> int:
    """Hold prompts of files out of a run, until it holds out as many as `count`.

    Args:
        dataset: the iteration whose prompts they become, in the split `held_out`.
        files: a path, folder, glob or URL.
        columns: that the prompt may stand in (`prompt_files.read`).

    Returns:
        How many prompts were added.

    Raises:
        InputError: as `draw`.
    """
    held = intake.held(dataset.run)
    drawn = draw(held, files, count, columns)
    first = sum(iteration == dataset.iteration for iteration, _, _ in held.here.values())
    prompts = [
        intake.prompt_of(row, prompt_id(row.chat), first + number, HELD_OUT)
        for number, row in enumerate(drawn)
    ]
    intake.commit(dataset, prompts)
    return len(prompts)


def draw(held: intake.Held, files: str, count: int, columns: Sequence[str]) -> list[InputRow]:
    """Return the rows of files that a run has yet to hold out, so that these are `count` in all.

    They are drawn by a hash of their prompts, so that they are spread over the files. Prompts that
    the run holds already are not drawn: a data round may have been given them.

    Raises:
        InputError: the files cannot be read twice, or too few of their prompts are new to the run.
    """
    if files == STDIN:
        raise InputError("--hold_out reads the prompts twice: give a file, not standard input")
    splits = list(held.form_splits.values())
    short = count - splits.count(HELD_OUT)
    if short <= 0:
        return []
    drawn = heapq.nsmallest(short + 1, _new(files, columns, held), key=lambda each: each[0])
    # Where the run holds no other prompt, one of the files' is left for the data round.
    left = len(drawn) > short or any(split != HELD_OUT for split in splits)
    if len(drawn) < short or not left:
        raise InputError(
            f"--hold_out {count}: only {len(drawn)} prompts of {files} are new to the run"
            + ("" if left else ", and one must be left for the data round")
        )
    return [row for _, row in drawn[:short]]


def _new(files: str, columns: Sequence[str], held: intake.Held) -> Iterator[tuple[bytes, InputRow]]:
    """The different prompts of files that the run does not hold, each with what it is drawn by."""
    seen = set(held.form_splits)
    for row in (row for path in find(files) for row in read(path, columns)):
        if row.prompt is None or row.split not in ("", HELD_OUT):
            continue
        form = form_id(row.chat)
        if form not in seen:
            seen.add(form)
            yield hashlib.sha256(form.encode()).digest(), row
