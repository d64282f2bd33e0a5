"""Reading seeds into a run: every row is a seed of the run, a drop or a failure that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.execution.intake import commit_failures
from schemas.seeds import Seed
from schemas.views import connect
from spar_core.dataset import Dataset, Settled
from spar_core.filters.near_duplicates import bands, signature
from spar_core.ids import seed_id
from spar_core.input_files import find
from spar_core.prompt_columns import SEED_COLUMNS, choice
from spar_core.prompt_files import InputRow, read, remedy
from spar_core.surrogates import shown
from terminal.exits import InputError

STAGE = "seeds"
_SHARD_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class SeedIntake:
    """What reading the input came to.

    seeds: different ones in the files; added: of them new to the run; equal: rows that repeat one;
    ids: of the seeds, in their order; column: which of several usual columns is read, and
    what of a row is not, in words.
    """

    seeds: int
    added: int
    equal: int
    failures: int
    ids: tuple[str, ...]
    column: str


def ingest(
    dataset: Dataset,
    files: str,
    limit: int | None,
    split: str,
    columns: Sequence[str] = SEED_COLUMNS,
) -> SeedIntake:
    """Add the seeds of files to an iteration that does not hold them yet.

    Args:
        files: a path, glob or URL. limit: stop after so many different seeds. split: what the
            prompts evolved from them are for, where a row does not say it itself. columns: that a
            seed may stand in (`prompt_files.read`).

    Raises:
        InputError: there is no such file, it cannot be read, or no row of it is a seed.
    """
    paths = find(files)
    places = _held(dataset)
    begun = len(places)
    ids: dict[str, None] = {}
    failures: list[InputRow] = []
    new: list[Seed] = []
    notes: dict[str, None] = {}
    equal, column = 0, ""
    for row in (row for path in paths for row in read(path, columns)):
        if limit is not None and len(ids) >= limit:
            break
        if row.prompt is None:
            failures.append(row)
            continue
        if row.earlier and any(turn.role != "system" for turn in row.earlier):
            message = "a seed is one instruction, not a chat with earlier turns"
            failures.append(InputRow(row.source, None, "bad_chat", message, row.prompt))
            continue
        if row.others and not column:
            column = choice(row.column, row.others)
        unread = ("the system message of a seed is not read",) if row.earlier else row.notes
        notes |= dict.fromkeys(unread)
        key = seed_id(row.prompt)
        if key in ids:
            equal += 1
            continue
        ids[key] = None
        if key not in places:
            places[key] = len(places)
            new.append(_seed(key, row, places[key], row.split or split))
            if len(new) >= _SHARD_ROWS:
                _commit(dataset, new)
                new = []
    if not ids:
        reason = f"{failures[0].source}: {failures[0].message}" if failures else "no rows"
        raise InputError(f"no seed in {files} ({reason}); {remedy(columns)}")
    _commit(dataset, new)
    commit_failures(dataset, STAGE, failures, paths)
    column += "".join(f"; {note}" for note in notes)
    return SeedIntake(len(ids), len(places) - begun, equal, len(failures), tuple(ids), column)


def _held(dataset: Dataset) -> dict[str, int]:
    """The places of the seeds that an iteration holds, by their ids."""
    with connect(dataset.run, ("seeds",)) as connection:
        query = "select seed_id, position from seeds where iteration = ? order by position"
        return dict(connection.execute(query, [dataset.iteration]).fetchall())


def _seed(key: str, row: InputRow, place: int, split: str) -> Seed:
    signed = signature(row.prompt or "")
    return Seed(
        key,
        row.prompt or "",
        shown(row.source),
        place,
        list(signed),
        list(bands(signed)),
        split,
    )


def _commit(dataset: Dataset, seeds: list[Seed]) -> None:
    if seeds:
        work = seeds[0].seed_id + seeds[-1].seed_id[-8:]
        dataset.commit(STAGE, work, [Settled(seed.seed_id, {"seeds": [seed]}) for seed in seeds])
