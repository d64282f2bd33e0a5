"""Reading prompts into a run: every row is a prompt of the run or a failure that says why not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas import manifest, run_folder
from schemas.failures import PAYLOAD_CHARS, Failure
from schemas.prompts import HELD_OUT, TRAIN, Check, Prompt
from schemas.views import connect
from spar_core.chat import texts_of, with_earlier
from spar_core.dataset import Dataset, Settled
from spar_core.evolution.sifting import benchmarks as known_prompts
from spar_core.ids import form_id, prompt_id
from spar_core.input_files import find
from spar_core.prompt_columns import COLUMNS, choice
from spar_core.prompt_files import InputRow, read, remedy
from spar_core.surrogates import shown
from terminal.exits import InputError
from terminal.text import without_logins

STAGE = "prompts"
_SHARD_ROWS = 10_000
_HELD_FAILURES = 1_000

_SHOWN_NOTES = 12

_ALIKE = "up to white space, case and Unicode form"


class Place(NamedTuple):
    """Where a prompt stands first, and a hash of what its row says beside the prompt.

    The hash is of the split and the checks.
    """

    source: str
    said: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a run holds of prompts.

    here: by id the iteration of those that are not added again, the checks they came with, and
        whether these are complete.
    splits: by id, of all of the run.
    places: by `form_id` where the first of those that are not added again stands.
    form_splits: by `form_id`, of all of the run, the first iteration's where several hold it.
    """

    here: dict[str, tuple[int, list[Check] | None, bool]]
    splits: dict[str, str]
    places: dict[str, Place]
    form_splits: dict[str, str]


@dataclass(frozen=True, slots=True)
class Intake:
    """What reading the input came to."""

    files: int
    prompts: int
    added: int
    failures: int
    others: int
    """Prompts of other splits than the one asked for."""
    equal: int
    """Rows that repeat a prompt, which is done once."""
    repeats: str
    """The place of the first of these rows, and of the prompt that it repeats, in words."""
    column: str
    """Which of several usual columns is read, in words; "" where there is one."""
    held_out: int
    """Rows whose prompt the run holds out."""
    notes: tuple[str, ...]
    """What is to be told once of how rows are read: columns that make up a prompt, and what is not
    understood."""
    more: bool
    """Whether a limit left rows unread."""
    ids: tuple[str, ...]
    """Of the prompts of the split asked for, in their order."""

    def remarks(self) -> str:
        """Say what is odd about the rows, as the end of a line; "" if nothing is."""
        said = self.column + "".join(f"; {note}" for note in self.notes[:_SHOWN_NOTES])
        if (more := len(self.notes) - _SHOWN_NOTES) > 0:
            said += f"; {more} such remarks more"
        if self.equal:
            rows = "1 row repeats" if self.equal == 1 else f"{self.equal:,} rows repeat"
            said += f"; {rows} a prompt, {_ALIKE} ({self.repeats}); it is done once"
        if self.held_out:
            said += f"; {self.held_out:,} held out for an evaluation"
        if self.failures:
            said += f"; {self.failures} rows are in `failures`"
        return said


def ingest(
    dataset: Dataset,
    files: str,
    limit: int | None,
    split: str = TRAIN,
    benchmarks: tuple[str, ...] = (),
    columns: Sequence[str] = COLUMNS,
) -> Intake:
    """Add the prompts of files to an iteration that does not hold them yet.

    Args:
        files: a path, glob or URL.
        limit: stop after so many different prompts of the split.
        split: what rows are for that do not say it themselves. Rows of other splits are added too.
        benchmarks: files whose prompts must not be in a prompt.
        columns: that the prompt may stand in (`prompt_files.read`).

    Raises:
        InputError: there is no such file, it cannot be read, or no row of it is a prompt.
    """
    datasets = {dataset.iteration: dataset}
    known = held(dataset.run, dataset.iteration)
    return _Reading(datasets, dataset, known, split, benchmarks).read(files, limit, columns)


def deal(
    run: str,
    iterations: Sequence[int],
    files: str,
    limit: int | None,
    benchmarks: tuple[str, ...] = (),
    columns: Sequence[str] = COLUMNS,
) -> Intake:
    """Deal the prompts of files that no iteration of a run holds yet to these iterations.

    Each goes to the iteration with the fewest: a file is dealt in turn, and what is appended to
    it later moves nothing. Rows that cannot be used are failures of iteration 1; rows that are for
    another split than training are passed over.

    Args:
        files: a path, glob or URL. limit: stop when each iteration has so many of these files.
        benchmarks: files whose prompts must not be in a prompt.
        columns: that the prompt may stand in (`prompt_files.read`).

    Raises:
        InputError: as `ingest`, or an iteration is left without prompts; nothing was added then.
    """
    datasets = {iteration: Dataset(run, iteration) for iteration in iterations}
    reading = _Reading(datasets, Dataset(run, 1), held(run), TRAIN, benchmarks, passes_over=True)
    return reading.read(files, limit, columns)


class _Reading:
    """Adds prompts to the iteration with the fewest, and failures to `rejects`.

    Prompts that are equal up to white space, case and Unicode form count as one, the first. What a
    run that was begun before holds of them goes on.

    Args:
        benchmarks: files whose prompts must not be in a prompt.
        passes_over: whether rows of other splits than `split` are left out.
    """

    def __init__(
        self,
        datasets: dict[int, Dataset],
        rejects: Dataset,
        held: Held,
        split: str,
        benchmarks: tuple[str, ...],
        *,
        passes_over: bool = False,
    ) -> None:
        self._datasets = datasets
        self._rejects = rejects
        self._held = held
        self._split = split
        self._known = known_prompts(benchmarks) if benchmarks else None
        self._passes_over = passes_over
        self._sizes = Counter(t for t, _, _ in held.here.values())
        self._read_of = Counter[int]()
        self._seen: dict[str, Place] = {}
        self._forms: dict[str, Place] = {}
        self._equal = 0
        self._repeats = ""
        self._column = ""
        self._held_out = 0
        self._notes: dict[str, None] = {}
        self._ids: list[str] = []
        self._failures: list[InputRow] = []
        self._new: dict[int, list[Prompt]] = {iteration: [] for iteration in datasets}
        self._added = 0

    def read(self, files: str, limit: int | None, columns: Sequence[str]) -> Intake:
        """Read files until each iteration has as many prompts of them as the limit says."""
        paths = find(files)
        more = False
        for row in (row for path in paths for row in read(path, columns)):
            short = [t for t in self._new if limit is None or self._read_of[t] < limit]
            if not short:
                more = True
                break
            self._take(row, short)
        if not self._seen and not self._equal:
            first = self._failures[0] if self._failures else None
            reason = f"{first.source}: {first.message}" if first else "no rows"
            raise InputError(f"no prompt in {files} ({reason}); {remedy(columns)}")
        for iteration in self._new:
            if not self._sizes[iteration]:
                raise InputError(
                    f"iteration {iteration} gets no prompt: {files} has {len(self._seen)} "
                    f"different ones, of which {self._added} are new to the run"
                )
        for iteration, prompts in self._new.items():
            commit(self._datasets[iteration], prompts)
        commit_failures(self._rejects, STAGE, self._failures, paths)
        return Intake(
            files=len(paths),
            prompts=len(self._seen),
            added=self._added,
            failures=len(self._failures),
            others=len(self._seen) - len(self._ids),
            equal=self._equal,
            repeats=self._repeats,
            column=self._column,
            held_out=self._held_out,
            notes=tuple(self._notes),
            more=more,
            ids=tuple(self._ids),
        )

    def _take(self, row: InputRow, short: Sequence[int]) -> None:
        """Take a row: as a prompt of one of the iterations that are short of some, or not."""
        if row.prompt is None:
            self._failures.append(row)
            return
        if row.others and not self._column:
            self._column = choice(row.column, row.others)
        self._notes |= dict.fromkeys(row.notes)
        key, split = prompt_id(row.chat), row.split or self._split
        place = Place(row.source, _said(split, row.checks, row.checks_complete))
        form = form_id(row.chat)
        if not row.split and self._is_held_out(form):
            self._held_out += 1
            return
        if key in self._seen:
            self._repeat(row, place, self._seen[key])
            return
        if other := self._other_split(row, key, form, split):
            self._failures.append(other)
            return
        first = self._forms.get(form) or self._held.places.get(form)
        if first and key not in self._held.here:
            self._repeat(row, place, first)
            return
        if contaminated := self._contaminated(row, key):
            self._failures.append(contaminated)
            if key not in self._held.here:
                return
        self._seen[key] = place
        self._forms.setdefault(form, place)
        self._enter(row, key, split, short)

    def _is_held_out(self, form: str) -> bool:
        """Whether the run holds a prompt out that a row offers for this reading's split."""
        return self._split != HELD_OUT and self._held.form_splits.get(form) == HELD_OUT

    def _enter(self, row: InputRow, key: str, split: str, short: Sequence[int]) -> None:
        """Enter a prompt that the reading has not met: new to the run, or held by it already."""
        if split == self._split:
            self._ids.append(key)
        elif self._passes_over:
            return
        if key in self._held.here:
            iteration, before, was_complete = self._held.here[key]
            given = (row.checks, row.checks_complete)
            if row.checks is not None and given != (before, was_complete):
                self._failures.append(_came_late(row))
        else:
            iteration = min(short, key=lambda each: (self._sizes[each], each))
            self._add(iteration, key, row, split)
        if split == self._split:
            self._read_of[iteration] += 1

    def _repeat(self, row: InputRow, place: Place, first: Place) -> None:
        """Count a row that repeats a prompt; it is a failure if its split or checks differ."""
        if place.said == first.said:
            self._equal += 1
            self._repeats = self._repeats or f"{place.source} that of {first.source}"
            return
        message = (
            f"the same prompt, {_ALIKE}, stands at {first.source} with another split or other "
            "checks; it is done once, as it stands there"
        )
        self._failures.append(_refused(row, "duplicate", message))

    def _other_split(self, row: InputRow, key: str, form: str, split: str) -> InputRow | None:
        """The failure of a prompt that the run holds in another split, in whatever form."""
        begun = self._held.splits.get(key) or self._held.form_splits.get(form, split)
        if begun == split:
            return None
        what = "this prompt" if key in self._held.splits else f"this prompt, {_ALIKE},"
        message = f"the run holds {what} in the split `{begun}`, and it cannot be in two"
        return _refused(row, "other_split", message)

    def _contaminated(self, row: InputRow, key: str) -> InputRow | None:
        """The failure of a prompt that holds a benchmark's, in whichever of its turns."""
        if self._known is None:
            return None
        hits = map(self._known.found, texts_of(row.chat))
        hit = next((each for each in hits if each is not None), None)
        if hit is None:
            return None
        message = f"it holds the prompt of a benchmark at {hit.place} ({hit.how}): {hit.text}"
        if key in self._held.here:
            message += (
                "; the iteration was begun with it and keeps it: give --decontaminate to another "
                "--run or --iteration"
            )
        return _refused(row, "contaminated", message)

    def _add(self, iteration: int, key: str, row: InputRow, split: str) -> None:
        self._new[iteration].append(prompt_of(row, key, self._sizes[iteration], split))
        self._sizes[iteration] += 1
        self._added += 1
        if len(self._new[iteration]) >= _SHARD_ROWS:
            commit(self._datasets[iteration], self._new[iteration])
            self._new[iteration] = []


def prompt_of(row: InputRow, key: str, position: int, split: str) -> Prompt:
    """Return the prompt of a row of the input, as the table holds it.

    Args:
        key: the id of the prompt.
        position: the place of the prompt in its iteration.
        split: what the prompt is for.
    """
    return Prompt(
        key,
        row.prompt or "",
        shown(row.source),
        position,
        row.checks,
        split,
        row.checks_complete,
        row.extra,
        row.earlier,
    )


def _said(split: str, checks: Sequence[Check] | None, is_complete: bool) -> int:
    """Return a hash of what a row says beside its prompt."""
    return hash((split, checks and (*checks,), is_complete))


def _came_late(row: InputRow) -> InputRow:
    message = (
        "the iteration holds this prompt with other checks, or checks_complete, or without, and "
        "keeps what it was begun with; "
        "give them to another --run or --iteration"
    )
    return _refused(row, "late_checks", message)


def _refused(row: InputRow, error: str, message: str) -> InputRow:
    return InputRow(row.source, None, error, message, row.prompt or "")


def held(run: str, iteration: int | None = None) -> Held:
    """Return what a run, or an iteration of it, holds; of a prompt in several iterations the first.

    What comes before iteration 1 is no iteration's.
    """
    found = Held({}, {}, {}, {})
    committed = manifest.read(*run_folder.opened(run))
    if not any("prompts" in entry.files for entry in committed.values()):
        return found
    with connect(run, ("prompts",), entries=committed) as connection:
        query = (
            "select prompt_id, prompt, earlier_turns, iteration, checks, split, source, "
            "checks_complete from prompts order by iteration desc, position desc"
        )
        rows = connection.execute(query)
        while some := rows.fetchmany(_SHARD_ROWS):
            for key, prompt, earlier, t, checks, split, source, is_complete in some:
                form = form_id(with_earlier(prompt, earlier))
                found.splits[key] = found.form_splits[form] = split
                if t == iteration or (iteration is None and t > 0):
                    asked = checks and [Check(**one) for one in checks]
                    found.here[key] = (t, asked, is_complete)
                    found.places[form] = Place(source, _said(split, asked, is_complete))
    return found


def commit(dataset: Dataset, prompts: list[Prompt]) -> None:
    """Commit prompts, whose order is the same whenever they are read again."""
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
    named = [without_logins(path) for path in paths]
    of_files: dict[str, list[InputRow]] = {path: [] for path in named}
    for row in failures:
        of_files[_file(row.source)].append(row)
    for path, rows in of_files.items():
        for start in range(0, len(rows), _HELD_FAILURES):
            some = rows[start : start + _HELD_FAILURES]
            digest = hashlib.sha256(shown(repr((path, some))).encode())
            wanted[f"failures-{digest.hexdigest()[:16]}"] = some
    read = {shown(path) for path in named}
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
