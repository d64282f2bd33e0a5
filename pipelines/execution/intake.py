"""Reading prompts into a run: every row is a prompt of the run or a failure that says why not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.execution.prompt_files import InputError, InputRow, find, read, remedy, shown
from schemas.failures import PAYLOAD_CHARS, Failure
from schemas.prompts import TRAIN, Check, Prompt
from schemas.views import connect
from spar_core.dataset import Dataset, Settled
from spar_core.ids import prompt_id

STAGE = "prompts"
_SHARD_ROWS = 10_000
_HELD_FAILURES = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """What a run holds of prompts, by their id.

    here: the iteration of those that are not added again, and the checks they came with.
    splits: of all of the run.
    """

    here: dict[str, tuple[int, list[Check] | None]]
    splits: dict[str, str]


@dataclass(frozen=True, slots=True)
class Intake:
    """What reading the input came to."""

    files: int
    prompts: int
    added: int
    failures: int
    others: int
    """Prompts of other splits than the one asked for."""
    more: bool
    """Whether a limit left rows unread."""
    ids: tuple[str, ...]
    """Of the prompts of the split asked for, in their order."""


def ingest(dataset: Dataset, files: str, limit: int | None, split: str = TRAIN) -> Intake:
    """Add the prompts of files to an iteration that does not hold them yet.

    Args:
        files: a path, glob or URL.
        limit: stop after so many different prompts of the split.
        split: what rows are for that do not say it themselves. Rows of other splits are added too.

    Raises:
        InputError: there is no such file, it cannot be read, or no row of it is a prompt.
    """
    held = _held(dataset.run, dataset.iteration)
    return _Reading({dataset.iteration: dataset}, dataset, held, split).read(files, limit)


def deal(run: str, iterations: Sequence[int], files: str, limit: int | None) -> Intake:
    """Deal the prompts of files that no iteration of a run holds yet to these iterations.

    Each goes to the iteration with the fewest: a file is dealt in turn, and what is appended to
    it later moves nothing. Rows that cannot be used are failures of iteration 1; rows that are for
    another split than training are passed over.

    Args:
        files: a path, glob or URL. limit: stop when each iteration has so many of these files.

    Raises:
        InputError: as `ingest`, or an iteration is left without prompts; nothing was added then.
    """
    datasets = {iteration: Dataset(run, iteration) for iteration in iterations}
    reading = _Reading(datasets, Dataset(run, 1), _held(run), TRAIN, passes_over=True)
    return reading.read(files, limit)


class _Reading:
    """Adds prompts to the iteration with the fewest, and failures to `rejects`.

    Args:
        passes_over: whether rows of other splits than `split` are left out.
    """

    def __init__(
        self,
        datasets: dict[int, Dataset],
        rejects: Dataset,
        held: Held,
        split: str,
        *,
        passes_over: bool = False,
    ) -> None:
        self._datasets = datasets
        self._rejects = rejects
        self._held = held
        self._split = split
        self._passes_over = passes_over
        self._sizes = Counter(t for t, _ in held.here.values())
        self._read_of = Counter[int]()
        self._seen: dict[str, str] = {}
        self._ids: list[str] = []
        self._failures: list[InputRow] = []
        self._new: dict[int, list[Prompt]] = {iteration: [] for iteration in datasets}
        self._added = 0

    def read(self, files: str, limit: int | None) -> Intake:
        """Read files until each iteration has as many prompts of them as the limit says."""
        paths = find(files)
        more = False
        for row in (row for path in paths for row in read(path)):
            short = [t for t in self._new if limit is None or self._read_of[t] < limit]
            if not short:
                more = True
                break
            self._take(row, short)
        if not self._seen:
            first = self._failures[0] if self._failures else None
            reason = f"{first.source}: {first.message}" if first else "no rows"
            raise InputError(f"no prompt in {files} ({reason}); {remedy()}")
        for iteration in self._new:
            if not self._sizes[iteration]:
                raise InputError(
                    f"iteration {iteration} gets no prompt: {files} has {len(self._seen)} "
                    f"different ones, of which {self._added} are new to the run"
                )
        for iteration, prompts in self._new.items():
            _commit(self._datasets[iteration], prompts)
        commit_failures(self._rejects, STAGE, self._failures, paths)
        return Intake(
            files=len(paths),
            prompts=len(self._seen),
            added=self._added,
            failures=len(self._failures),
            others=len(self._seen) - len(self._ids),
            more=more,
            ids=tuple(self._ids),
        )

    def _take(self, row: InputRow, short: Sequence[int]) -> None:
        """Take a row: as a prompt of one of the iterations that are short of some, or not."""
        if row.prompt is None:
            self._failures.append(row)
            return
        key, split = prompt_id(row.prompt), row.split or self._split
        if key in self._seen:
            message = f"the same prompt stands at {self._seen[key]}; it is done once"
            self._failures.append(_refused(row, "duplicate", message))
            return
        begun = self._held.splits.get(key, split)
        if begun != split:
            message = f"the run holds this prompt in the split `{begun}`, and it cannot be in two"
            self._failures.append(_refused(row, "other_split", message))
            return
        self._seen[key] = row.source
        if split == self._split:
            self._ids.append(key)
        elif self._passes_over:
            return
        if key in self._held.here:
            iteration, before = self._held.here[key]
            if row.checks is not None and row.checks != before:
                self._failures.append(_came_late(row))
        else:
            iteration = min(short, key=lambda each: (self._sizes[each], each))
            self._add(iteration, key, row, split)
        if split == self._split:
            self._read_of[iteration] += 1

    def _add(self, iteration: int, key: str, row: InputRow, split: str) -> None:
        place = self._sizes[iteration]
        prompt = Prompt(key, row.prompt or "", shown(row.source), place, row.checks, split)
        self._new[iteration].append(prompt)
        self._sizes[iteration] += 1
        self._added += 1
        if len(self._new[iteration]) >= _SHARD_ROWS:
            _commit(self._datasets[iteration], self._new[iteration])
            self._new[iteration] = []


def _came_late(row: InputRow) -> InputRow:
    message = (
        "the iteration holds this prompt without these checks, and keeps what it was begun with; "
        "give them to another --run or --iteration"
    )
    return _refused(row, "late_checks", message)


def _refused(row: InputRow, error: str, message: str) -> InputRow:
    return InputRow(row.source, None, error, message, row.prompt or "")


def _held(run: str, iteration: int | None = None) -> Held:
    """What a run, or an iteration of it, holds; of a prompt in several iterations the first.

    What comes before iteration 1 is no iteration's.
    """
    with connect(run, ("prompts",)) as connection:
        query = "select prompt_id, iteration, checks, split from prompts order by iteration desc"
        rows = connection.sql(query).fetchall()
    return Held(
        {
            key: (t, some and [Check(**one) for one in some])
            for key, t, some, _ in rows
            if t == iteration or (iteration is None and t > 0)
        },
        {key: split for key, _, _, split in rows},
    )


def _commit(dataset: Dataset, prompts: list[Prompt]) -> None:
    if prompts:
        work = prompts[0].prompt_id + prompts[-1].prompt_id[-8:]
        settled = [Settled(p.prompt_id, {"prompts": [p]}) for p in prompts]
        dataset.commit(STAGE, work, settled)


def commit_failures(
    dataset: Dataset, stage: str, failures: Sequence[InputRow], paths: Sequence[str]
) -> None:
    """Hold the failures of these files to what this reading found; those of others stay.

    The same reading changes nothing.
    """
    wanted: dict[str, list[InputRow]] = {}
    of_files: dict[str, list[InputRow]] = {path: [] for path in paths}
    for row in failures:
        of_files[_file(row.source)].append(row)
    for path, rows in of_files.items():
        for start in range(0, len(rows), _HELD_FAILURES):
            some = rows[start : start + _HELD_FAILURES]
            digest = hashlib.sha256(shown(repr((path, some))).encode())
            wanted[f"failures-{digest.hexdigest()[:16]}"] = some
    read = {shown(path) for path in paths}
    committed = {
        path: entry
        for path, entry in dataset.entries(stage).items()
        if entry.work.startswith("failures")
    }
    dataset.retract(
        [
            path
            for path, entry in committed.items()
            if entry.work not in wanted and {_file(key) for key in entry.keys} <= read
        ]
    )
    for work, rows in wanted.items():
        dataset.commit(stage, work, [_settled(row, stage) for row in rows])


def _settled(row: InputRow, stage: str) -> Settled:
    source, payload = shown(row.source), shown(row.payload)[:PAYLOAD_CHARS]
    failure = Failure(stage, source, row.error, shown(row.message), 1, payload)
    return Settled(source, {"failures": [failure]})


def _file(source: str) -> str:
    """The file of a row's source."""
    path, _, line = source.rpartition(":")
    return path if path and line.isdecimal() else source
