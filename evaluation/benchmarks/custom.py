"""Prompts of one's own: with checks (docs/checks.md) scored as IFEval is, without only answered.

They come from the same files as the prompts of a run, or are those that a run holds out. Checks
mean what the same checks mean in a run's prompts: keywords stand for themselves, and a response of
more than 20,000 characters is not decided. Whose answers are better where there are no checks is
asked by `versus`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.benchmark import BadData, Benchmark, Figure, Scored
from evaluation.benchmarks import instructions
from schemas import manifest
from schemas.items import Item
from schemas.prompts import HELD_OUT, Check
from schemas.views import connect
from spar_core.checks.strict import follows
from spar_core.checks.undecided import Undecided
from spar_core.ids import form_id
from terminal.exits import InputError

if TYPE_CHECKING:
    from spar_core.prompt_files import InputRow

NAME = "custom"

_REMEDY = "mend the row or take it out (docs/prompts.md says what rows are, docs/checks.md checks)"


def read_prompts(files: str, column: str | None, *, is_run: bool = False) -> Iterator[Item]:
    """Return the prompts of files as items, or those that a run holds out.

    Prompts that are equal up to white space, case and Unicode form count as one, the first.

    Args:
        files: a path, folder, glob or URL of files of prompts; or a run.
        column: the column that the prompts stand in, None for the usual ones.
        is_run: whether a run is meant, be it there or not.

    Raises:
        BadData: there are no prompts, or a row is none. NoChecker: there are checks, but no
            library.
    """
    from spar_core.input_files import STDIN

    if files == STDIN:
        raise BadData(f"{NAME}: --data - cannot be read again as a job goes on: give a file")
    if is_run or _is_run(files):
        return _held_out(files)
    own = Path(files) / NAME  # beside the folders of other benchmarks
    return _of_files(str(own) if own.is_dir() else files, column)


def _is_run(files: str) -> bool:
    import fsspec

    try:
        fs, root = fsspec.core.url_to_fs(files)
        return bool(manifest.read(fs, root))
    except Exception:  # file systems raise what their own libraries do; `find` explains it
        return False


_OF_SEVERAL_TURNS = "the prompt has turns before its last one; an evaluation asks texts alone"


def _held_out(run: str) -> Iterator[Item]:
    with connect(run, ("prompts",)) as connection:
        query = (
            "select prompt_id, prompt, checks, earlier_turns, source from prompts where split = ? "
            "order by iteration, position"
        )
        rows = connection.execute(query, [HELD_OUT]).fetchall()
    if not rows:
        raise BadData(
            f"{NAME}: the run {run} holds no prompts out: give --data FILES, or give the round "
            "--hold_out N with its --prompts FILES"
        )
    for position, (key, prompt, checks, earlier, source) in enumerate(rows):
        if earlier:
            raise BadData(f"{NAME}: {source}, held out in {run}: {_OF_SEVERAL_TURNS}")
        found = [Check(**each) for each in checks] if checks else None
        yield Item("", NAME, key, prompt, position, checks=found)


def _of_files(files: str, column: str | None) -> Iterator[Item]:
    from spar_core.input_files import find
    from spar_core.prompt_columns import COLUMNS, columns_of
    from spar_core.prompt_files import read

    forms: dict[str, str] = {}
    keys: dict[str, str] = {}
    try:
        columns = columns_of(column, COLUMNS)
        for row in (row for path in find(files) for row in read(path, columns)):
            if row.prompt is None:
                raise BadData(f"{row.source}: {row.message}; {_REMEDY}")
            if row.earlier:
                raise BadData(f"{row.source}: {_OF_SEVERAL_TURNS}; {_REMEDY}")
            if forms.setdefault(form_id(row.prompt), row.source) != row.source:
                continue
            key = _key(row)
            if before := keys.get(key):
                raise BadData(f"{row.source}: its `key` is that of {before}; {_REMEDY}")
            keys[key] = row.source
            position = len(keys) - 1
            yield Item("", NAME, key, row.prompt, position, checks=row.checks or None)
    except InputError as error:
        raise BadData(f"{NAME}: {error}") from None
    if not keys:
        raise BadData(f"{files}: no rows; {_REMEDY}")


def _key(row: InputRow) -> str:
    """Return the column `key` of a row, or its file's name and its number."""
    said = json.loads(row.extra or "{}").get("key")
    if isinstance(said, str | int) and not isinstance(said, bool):
        return str(said)
    path, _, number = row.source.rpartition(":")
    return f"{Path(path).stem}:{number}"


def decide(check: Check, prompt: str, responses: Sequence[str]) -> bool:
    """Whether one of the responses passes a check.

    Raises:
        Undecided: none that could be checked does. NoChecker: the library is not installed.
    """
    undecided = False
    for response in responses:
        passes = follows([asdict(check)], response)
        if passes:
            return True
        undecided = undecided or passes is None
    if undecided:
        raise Undecided("a checker could not run; the log says why")
    return False


def figures(scored: Sequence[Scored]) -> list[Figure]:
    """Return the figures of IFEval over the prompts that have checks; none without any."""
    checked = [each for each in scored if each.item.checks]
    order = (instructions.AVERAGE, *instructions.METRICS)
    return instructions.figures(order, checked) if checked else []


def _read(paths: Sequence[Path]) -> Iterator[Item]:
    """Return the items of files on this machine."""
    for path in paths:
        yield from _of_files(str(path), None)


CUSTOM = Benchmark(
    name=NAME,
    about="prompts of your own, of any files that --prompts takes, or those that a run holds out; "
    "with checks they are scored; --against has a judge compare two models' answers",
    files=(),
    read=_read,
    check=partial(instructions.check, decide),
    figures=figures,
    read_prompts=read_prompts,
)
