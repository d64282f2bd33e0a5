"""Reading prompts into a run: every row is a prompt of the run or a failure that says why not."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.failures import PAYLOAD_CHARS, Failure
from schemas.prompts import Check, Prompt
from schemas.views import connect
from spar_core import checks
from spar_core.dataset import Dataset, Settled

STAGE = "prompts"
COLUMN = "prompt"
_SHARD_ROWS = 10_000
_HELD_FAILURES = 1_000

Held = dict[str, tuple[int, list[Check] | None]]
"""Prompts of a run by their id: the iteration, and the checks they came with."""


class InputError(Exception):
    """The input as a whole is no good."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input: its prompt, or the reason why it has none."""

    source: str
    prompt: str | None = None
    error: str = ""
    message: str = ""
    payload: str = ""
    checks: list[Check] | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """What reading the input came to."""

    files: int
    prompts: int
    added: int
    failures: int
    more: bool
    """Whether a limit left rows unread."""
    ids: tuple[str, ...]
    """Of the prompts, in their order."""


def ingest(dataset: Dataset, files: str, limit: int | None) -> Intake:
    """Add the prompts of files to an iteration that does not hold them yet.

    Args:
        files: a path, glob or URL. limit: stop after so many different prompts.

    Raises:
        InputError: there is no such file, it cannot be read, or no row of it is a prompt.
    """
    held = _held(dataset.run, f"iteration = {dataset.iteration}")
    return _ingest({dataset.iteration: dataset}, dataset, held, files, limit)


def deal(run: str, iterations: Sequence[int], files: str, limit: int | None) -> Intake:
    """Deal the prompts of files that no iteration of a run holds yet to these iterations.

    Each goes to the iteration with the fewest: a file is dealt in turn, and what is appended to
    it later moves nothing. Rows that cannot be used are failures of iteration 1.

    Args:
        files: a path, glob or URL. limit: stop when each iteration has so many of these files.

    Raises:
        InputError: as `ingest`, or an iteration is left without prompts; nothing was added then.
    """
    datasets = {iteration: Dataset(run, iteration) for iteration in iterations}
    return _ingest(datasets, Dataset(run, 1), _held(run), files, limit)


def _ingest(
    datasets: dict[int, Dataset],
    rejects: Dataset,
    held: Held,
    files: str,
    limit: int | None,
) -> Intake:
    """Add prompts to the iteration of `datasets` with the fewest, and failures to `rejects`.

    Args:
        held: the prompts that are not added again.
    """
    paths = find(files)
    sizes, read_of = Counter(t for t, _ in held.values()), Counter[int]()
    seen: dict[str, str] = {}
    failures: list[InputRow] = []
    new: dict[int, list[Prompt]] = {iteration: [] for iteration in datasets}
    added, more = 0, False
    rows = (row for path in paths for row in read(path))
    for row in rows:
        short = [each for each in new if limit is None or read_of[each] < limit]
        if not short:
            more = True
            break
        if row.prompt is None:
            failures.append(row)
            continue
        key = prompt_id(row.prompt)
        if key in seen:
            message = f"the same prompt stands at {seen[key]}; it is done once"
            failures.append(InputRow(row.source, None, "duplicate", message, row.prompt))
            continue
        seen[key] = row.source
        if key in held:
            iteration, before = held[key]
            if row.checks is not None and row.checks != before:
                failures.append(_came_late(row))
        else:
            iteration = min(short, key=lambda each: (sizes[each], each))
            new[iteration].append(
                Prompt(key, row.prompt, _shown(row.source), sizes[iteration], row.checks)
            )
            sizes[iteration] += 1
            added += 1
            if len(new[iteration]) >= _SHARD_ROWS:
                _commit(datasets[iteration], new[iteration])
                new[iteration] = []
        read_of[iteration] += 1
    if not seen:
        reason = f"{failures[0].source}: {failures[0].message}" if failures else "no rows"
        raise InputError(f"no prompt in {files} ({reason}); {_remedy()}")
    for iteration in new:
        if not sizes[iteration]:
            raise InputError(
                f"iteration {iteration} gets no prompt: {files} has {len(seen)} different ones, "
                f"of which {added} are new to the run"
            )
    for iteration, prompts in new.items():
        _commit(datasets[iteration], prompts)
    _commit_failures(rejects, failures)
    return Intake(len(paths), len(seen), added, len(failures), more, tuple(seen))


def prompt_id(prompt: str) -> str:
    """Derived from the text alone."""
    return "p" + hashlib.sha256(prompt.encode()).hexdigest()[:16]


def find(files: str) -> list[str]:
    """The files that a path, glob or URL names.

    Raises:
        InputError: there are none.
    """
    try:
        fs, path = fsspec.core.url_to_fs(files)
        names = [path] if fs.isfile(path) else sorted(fs.glob(path))
        found = [name for name in names if fs.isfile(name)]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"cannot look for {files}: {error}") from None
    if not found:
        raise InputError(f"no such file: {files}")
    return [fs.unstrip_protocol(name).removeprefix("file://") for name in found]


def read(path: str) -> Iterator[InputRow]:
    """The rows of a file, bad ones included.

    Raises:
        InputError: the file cannot be read at all.
    """
    name = path.removesuffix(".gz")
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            if name.endswith(".parquet"):
                yield from _read_parquet(path, file)
            elif name.endswith(".csv"):
                yield from _read_csv(path, file)
            else:
                yield from _read_jsonl(path, file)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _read_jsonl(path: str, file: IO[bytes]) -> Iterator[InputRow]:
    number = 0
    for number, line in enumerate(file, 1):
        source = f"{path}:{number}"
        if not line.strip():
            continue
        shown = line.decode("utf-8", "backslashreplace").rstrip("\n")
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}", shown)
            continue
        except (ValueError, RecursionError) as error:
            yield InputRow(source, None, "bad_json", f"not a JSON object: {error}", shown)
            continue
        if not isinstance(row, dict):
            message = f"a JSON {type(row).__name__}, not an object"
            yield InputRow(source, None, "bad_json", message, shown)
            continue
        if COLUMN not in row:
            names = ", ".join(list(row)[:8]) or "none"
            message = f"no field `{COLUMN}` (fields: {names})"
            yield InputRow(source, None, "no_prompt", message, shown)
            continue
        yield _checked(source, row)
    if not number:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_csv(path: str, file: IO[bytes]) -> Iterator[InputRow]:
    decoded = (
        line.decode("utf-8-sig" if not i else "utf-8", "surrogateescape")
        for i, line in enumerate(file)
    )
    with suppress(OverflowError):
        csv.field_size_limit(1 << 30)
    reader = csv.reader(decoded, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        source = f"{path}:{line}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield InputRow(source, None, "bad_csv", f"not CSV: {error}")
            continue
        if cells is None:
            break
        if header is None:
            header = cells
            if COLUMN not in header:
                raise InputError(
                    f"{path}:1: no column `{COLUMN}` (columns: {', '.join(header[:8])}); "
                    + _remedy()
                )
        elif cells and len(cells) != len(header):
            message = f"{len(cells)} cells where the header has {len(header)}"
            yield InputRow(source, None, "bad_csv", message, ",".join(map(_shown, cells)))
        elif cells:
            yield _checked(source, dict(zip(header, cells, strict=True)))
    if header is None:
        yield InputRow(path, None, "empty_file", "the file is empty")


def _read_parquet(path: str, file: IO[bytes]) -> Iterator[InputRow]:
    parquet = pq.ParquetFile(file)
    if COLUMN not in parquet.schema_arrow.names:
        names = ", ".join(parquet.schema_arrow.names[:8])
        raise InputError(f"{path}: no column `{COLUMN}` (columns: {names}); {_remedy()}")
    used = {COLUMN, checks.COLUMN, *checks.IFEVAL_COLUMNS} & {*parquet.schema_arrow.names}
    number = 0
    for batch in parquet.iter_batches(batch_size=4096, columns=sorted(used)):
        for values in zip(*batch.columns, strict=True):
            number += 1
            source = f"{path}:{number}"
            try:
                cells = [value.as_py() for value in values]
            except UnicodeDecodeError as error:
                yield InputRow(source, None, "not_utf8", f"not UTF-8: {error.reason}")
                continue
            yield _checked(source, dict(zip(batch.schema.names, cells, strict=True)))
    if not number:
        yield InputRow(path, None, "empty_file", "the file has no rows")


def _checked(source: str, row: Mapping[str, Any]) -> InputRow:
    prompt = row[COLUMN]
    if not isinstance(prompt, str):
        message = f"`{COLUMN}` is {json.dumps(prompt, default=str)[:80]}, not text"
        return InputRow(source, None, "no_prompt", message, str(prompt))
    if not prompt.strip():
        return InputRow(source, None, "empty_prompt", "the prompt is empty", prompt)
    try:
        prompt.encode()
    except UnicodeEncodeError:
        message = "not UTF-8: half of a surrogate pair, or a byte that is no character"
        return InputRow(source, None, "not_utf8", message, _shown(prompt))
    try:
        return InputRow(source, prompt, checks=checks.read_checks(row))
    except checks.BadChecks as error:
        return InputRow(source, None, "bad_checks", str(error), prompt)
    except checks.NoChecker as error:
        raise InputError(f"{source}: {error}") from None


def _came_late(row: InputRow) -> InputRow:
    message = (
        "the iteration holds this prompt without these checks, and keeps what it was begun with; "
        "give them to another --run or --iteration"
    )
    return InputRow(row.source, None, "late_checks", message, row.prompt or "")


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _remedy() -> str:
    return f"prompts are JSONL, CSV or Parquet with a text column `{COLUMN}`"


def _held(run: str, where: str = "true") -> Held:
    """What a run holds; of a prompt in several iterations the first."""
    with connect(run, ("prompts",)) as connection:
        query = f"select prompt_id, iteration, checks from prompts where {where}"
        rows = connection.sql(f"{query} order by iteration desc").fetchall()
    return {key: (t, some and [Check(**one) for one in some]) for key, t, some in rows}


def _commit(dataset: Dataset, prompts: list[Prompt]) -> None:
    if prompts:
        work = prompts[0].prompt_id + prompts[-1].prompt_id[-8:]
        settled = [Settled(p.prompt_id, {"prompts": [p]}) for p in prompts]
        dataset.commit(STAGE, work, settled)


def _commit_failures(dataset: Dataset, failures: list[InputRow]) -> None:
    """Hold the input's failures to what this reading found; the same reading changes nothing."""
    committed = {
        path: entry
        for path, entry in dataset.entries(STAGE).items()
        if entry.work.startswith("failures")
    }
    wanted: dict[str, list[InputRow]] = {}
    for start in range(0, len(failures), _HELD_FAILURES):
        rows = failures[start : start + _HELD_FAILURES]
        digest = hashlib.sha256(_shown(repr(rows)).encode())
        wanted[f"failures-{digest.hexdigest()[:16]}"] = rows
    dataset.retract([path for path, e in committed.items() if e.work not in wanted])
    for work, rows in wanted.items():
        settled = [
            Settled(
                _shown(row.source),
                {
                    "failures": [
                        Failure(
                            STAGE,
                            _shown(row.source),
                            row.error,
                            _shown(row.message),
                            1,
                            _shown(row.payload)[:PAYLOAD_CHARS],
                        )
                    ]
                },
            )
            for row in rows
        ]
        dataset.commit(STAGE, work, settled)
