"""Commits: many small ones to a table by our manifest, by deltalake and by pyiceberg.

Rows of `judgements`, a hundred a commit: by one writer; by two at once, which both try to commit
every item, in other batches; and by one that is killed in the middle of commits and started again.
What is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import harness, report
from benchmarks.answers import JUDGE_CHARS, Script, stream
from benchmarks.report import Report
from benchmarks.stores import Delta, Iceberg, Manifest, Store
from schemas.judgements import Judgement, VoteRecord
from spar_core.conversation import judge_messages

COMMITS, QUICK_COMMITS = 300, 6
KILLS = 5
ROWS = 100
RACING = 3
"""Two writers at once make one in so many of the commits."""

_BUCKET = 1000
"""Items of a bucket."""

_CHECK = """
select count(*), count(distinct response_id), avg(value), sum(length(critique)) from judgements
"""
_GROUPS = """
select verdict, count(*), avg(value), sum(completion_tokens) from judgements group by verdict
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to commit.

    package: what it needs beside what we install already, as a requirement; None for nothing.
    extension: of DuckDB, with which it would read the table by itself.
    share: of the commits that it is asked to make; one whose commits grow with the table gets few.
    """

    name: str
    make: Callable[[str, str], Store]
    package: str | None = None
    extension: str | None = None
    share: float = 1.0

    def at(self, folder: Path) -> Store:
        return self.make(str(folder / "table"), str(folder / "catalog.db"))

    @property
    def is_there(self) -> bool:
        return self.package is None or bool(importlib.util.find_spec(_module(self.package)))


_DELTA = ("deltalake", "delta")
_ICEBERG = ("pyiceberg[sql-sqlite]", "iceberg")
CONTENDERS = [
    Contender("our manifest", lambda place, _: Manifest(place)),
    Contender("deltalake, append", lambda place, _: Delta(place, "append"), *_DELTA),
    Contender("deltalake, merge", lambda place, _: Delta(place, "merge"), *_DELTA),
    Contender("deltalake, transaction", lambda place, _: Delta(place, "transaction"), *_DELTA),
    Contender("pyiceberg, append", lambda place, file: Iceberg(place, "append", file), *_ICEBERG),
    Contender(
        "pyiceberg, upsert",
        lambda place, file: Iceberg(place, "upsert", file),
        *_ICEBERG,
        share=1 / 3,
    ),
]


@dataclass(frozen=True, slots=True)
class Written:
    """What writers of a folder took. wall_s: from the first commit to the last of all."""

    wall_s: float
    median_ms: float
    last_ms: float
    conflicts: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader sees of so many items."""

    rows: int
    twice: int
    lost: int
    open_s: float
    query_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """What lies on disk; orphans: data files that do not count."""

    files: int
    mb: float
    orphans: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a contender. halted: what a reader saw after each kill, or its error."""

    commits: int
    alone: Written
    alone_seen: Seen
    alone_left: Left
    racing: Written
    racing_seen: Seen
    halted: list[str]
    kills_seen: Seen
    kills_left: Left
    memory: str
    package_mb: float
    extension: str


def measure(commits: int = COMMITS, kills: int = KILLS) -> Report:
    """Have each contender that is installed do the same work."""
    machine = report.machine()
    there = [contender for contender in CONTENDERS if contender.is_there]
    outcomes = {contender.name: _compare(contender, commits, kills) for contender in there}
    missing = sorted({str(c.package) for c in CONTENDERS if not c.is_there})
    where = f"{commits} commits of {ROWS} rows"
    return Report(
        "commits",
        f"Commits: {where}" + "".join(f"; {name} is not installed" for name in missing),
        (
            *("way", "commits", "ms each", "the last ones", "2 writers: ms each", "conflicts"),
            *("twice, lost", "killed: twice, lost", "orphans", "open s", "query s", "files", "MB"),
            *("installs MB", "fsspec", "DuckDB by itself"),
        ),
        [_row(name, outcome) for name, outcome in outcomes.items()],
        [
            (f"a commit by {name}", f"{outcome.alone.median_ms:.0f} ms", where)
            for name, outcome in outcomes.items()
        ],
        {
            "machine": machine,
            "commits": commits,
            "rows": ROWS,
            "kills": kills,
            "versions": {name: _version(name) for name in ("deltalake", "pyiceberg", "duckdb")},
            "outcomes": {name: asdict(outcome) for name, outcome in outcomes.items()},
        },
    )


def _row(name: str, o: Outcome) -> list[object]:
    def wrong(seen: Seen) -> str:
        return f"{seen.twice:,}, {seen.lost:,}"

    return [
        *(name, o.commits, o.alone.median_ms, o.alone.last_ms, o.racing.median_ms),
        *(o.racing.conflicts, wrong(o.racing_seen), wrong(o.kills_seen), o.kills_left.orphans),
        *(o.alone_seen.open_s, o.alone_seen.query_s, o.alone_left.files, o.alone_left.mb),
        *(o.package_mb, o.memory.partition(":")[0], o.extension),
    ]


def _compare(contender: Contender, commits: int, kills: int) -> Outcome:
    commits = round(commits * contender.share)
    fewer = max(2, commits // RACING)
    with harness.folder() as place:
        alone, racing, killed = (_prepared(contender, place / name) for name in "abc")
        written = _written(contender, alone, commits, 1)
        raced = _written(contender, racing, fewer, 2)
        few = max(2, commits // 5)
        halted = _kill(contender, killed, few, kills)
        return Outcome(
            commits,
            written,
            _seen(contender.at(alone), commits),
            _left(contender, alone),
            raced,
            _seen(contender.at(racing), fewer),
            halted,
            _seen(contender.at(killed), few),
            _left(contender, killed),
            _in_memory(contender, place),
            round(sum(map(_size, _brought(contender.package))) / 1e6, 1),
            _extension(contender.extension),
        )


def _prepared(contender: Contender, folder: Path) -> Path:
    folder.mkdir()
    contender.at(folder).prepare()
    return folder


def _batches(commits: int, writer: int) -> Iterator[tuple[str, list[int]]]:
    """Numbers of items by bucket; each writer puts a bucket's into batches of its own."""
    items = commits * ROWS
    for first in range(0, items, _BUCKET):
        numbers = list(range(first, min(first + _BUCKET, items)))
        stream("batches", writer).shuffle(numbers)
        for start in range(0, len(numbers), ROWS):
            yield f"{first:06d}", numbers[start : start + ROWS]


def _judgement(number: int) -> Judgement:
    prompt = f"{number // 5:016x}"
    texts = Script().answers(judge_messages("Write.", "words q=0.50"), number, 5)
    votes = [VoteRecord("Yes" if text.endswith("Yes") else "No", text, "stop") for text in texts]
    yes = sum(vote.vote == "Yes" for vote in votes)
    verdict = "yes" if yes > len(votes) - yes else "no"
    return Judgement(
        response_id=f"i1.{prompt}.r{number % 5}",
        prompt_id=prompt,
        verdict=verdict,
        value=yes / len(votes),
        yes_votes=yes,
        no_votes=len(votes) - yes,
        unparsed_votes=0,
        critique=next(vote.text for vote in votes if str(vote.vote).lower() == verdict),
        votes=votes,
        model="simulated-8b",
        prompt_tokens=400,
        completion_tokens=len(votes) * JUDGE_CHARS // 4,
    )


def _write(name: str, folder: str, commits: int, writer: int, said: str) -> None:
    """Commit all that is not there when it begins; a line for each commit: when, how long."""
    store = next(each for each in CONTENDERS if each.name == name).at(Path(folder))
    with store.connect() as connection:
        found = connection.sql("select response_id from judgements").fetchall()
    there = {key for (key,) in found}
    batches = [
        (bucket, [row for row in map(_judgement, numbers) if row.response_id not in there])
        for bucket, numbers in _batches(commits, writer)
    ]
    with Path(said).open("a") as file:
        for bucket, rows in batches:
            if rows:
                began = time.time()
                store.commit(bucket, rows)
                took = time.time() - began
                file.write(json.dumps([began, took, store.conflicts]) + "\n")
                file.flush()


def _started(contender: Contender, folder: Path, commits: int, writer: int) -> Any:
    arguments = (contender.name, str(folder), commits, writer, str(folder / f"said{writer}"))
    process = multiprocessing.get_context("spawn").Process(target=_write, args=arguments)
    process.start()
    return process


def _written(contender: Contender, folder: Path, commits: int, writers: int) -> Written:
    processes = [_started(contender, folder, commits, number) for number in range(writers)]
    for process in processes:
        process.join()
        if process.exitcode:
            raise harness.JobFailed(f"a writer of {contender.name} ended with {process.exitcode}")
    said = [_said(folder, number) for number in range(writers)]
    lines = [line for some in said for line in some]
    durations = [took for _, took, _ in lines]
    latest = [took for _, took, _ in (said[0] or lines)[-max(1, commits // 10) :]]
    return Written(
        round(max(began + took for began, took, _ in lines) - min(line[0] for line in lines), 2),
        round(statistics.median(durations) * 1000, 1),
        round(statistics.median(latest) * 1000, 1),
        int(sum(some[-1][2] for some in said if some)),
    )


def _said(folder: Path, writer: int) -> list[list[float]]:
    file = folder / f"said{writer}"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def _kill(contender: Contender, folder: Path, commits: int, kills: int) -> list[str]:
    """Kill a writer in the middle of its commits so many times, then let it end."""
    drawn, saw = stream("kills of commits"), []
    for _ in range(kills):
        before = len(_said(folder, 0))
        process = _started(contender, folder, commits, 0)
        wanted = before + max(1, commits // (kills + 2))
        while len(_said(folder, 0)) < wanted and process.is_alive():
            time.sleep(0.002)
        made = _said(folder, 0)
        time.sleep(drawn.random() * (made[-1][1] if made else 0.1))
        process.kill()
        process.join()
        try:
            seen = _seen(contender.at(folder), commits)
        except Exception as error:  # whatever a reader meets is what is asked for
            saw.append(f"{type(error).__name__}: {_line(error)}")
        else:
            saw.append(f"{seen.rows} rows after {len(made)} commits, {seen.twice} twice")
    _written(contender, folder, commits, 1)
    return saw


def _seen(store: Store, commits: int) -> Seen:
    began = time.monotonic()
    with store.connect() as connection:
        opened = time.monotonic()
        connection.sql(_GROUPS).fetchall()
        queried = time.monotonic()
        rows, keys, *_ = connection.sql(_CHECK).fetchall()[0]
    return Seen(
        rows,
        rows - keys,
        commits * ROWS - keys,
        round(opened - began, 3),
        round(queried - opened, 3),
    )


def _left(contender: Contender, folder: Path) -> Left:
    files = [path for path in folder.rglob("*") if path.is_file() and "said" not in path.name]
    named = contender.at(folder).named()
    orphans = sum(path.suffix == ".parquet" and path.name not in named for path in files)
    orphans -= len(list(folder.rglob("_delta_log/*.parquet")))
    return Left(len(files), round(sum(path.stat().st_size for path in files) / 1e6, 1), orphans)


def _in_memory(contender: Contender, place: Path) -> str:
    """Whether it works on a file system that fsspec has and it has not heard of."""
    store = contender.make(f"memory://commits/{contender.name}", str(place / "memory.db"))
    try:
        store.prepare()
        store.commit("000000", [_judgement(0)])
        return "yes" if _seen(store, 1).rows == 1 else "loses rows"
    except Exception as error:  # whatever keeps it from that is what is asked for
        return f"no: {_line(error)}"


def _line(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(text.split())[:80]


def _extension(name: str | None) -> str:
    """Whether DuckDB reads the format with what is on this machine."""
    if name is None:
        return "yes"
    with duckdb.connect() as connection:
        sql = f"select installed from duckdb_extensions() where extension_name = '{name}'"
        there = connection.execute(sql).fetchall() == [(True,)]
    return "yes" if there else f"after a download of {name}"


def _module(requirement: str) -> str:
    return requirement.partition("[")[0]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _brought(requirement: str | None) -> set[str]:
    """The packages that come with a requirement and not with this project."""
    return _needs(requirement) - _needs("spar") if requirement else set()


def _needs(requirement: str) -> set[str]:
    """A requirement's package and all that it asks for, by name."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    ahead = [Requirement(requirement)]
    while ahead:
        wanted = ahead.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        extras = wanted.extras or {""}
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                ahead.append(need)
    return found


def _size(package: str) -> int:
    files = importlib.metadata.files(package) or []
    paths = [Path(str(file.locate())) for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--kills", type=int, default=KILLS)
    o = parser.parse_args(argv)
    made = measure(o.commits, o.kills)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    main()
