"""A run of a million prompts: opening it, asking it, planning on it, before its commits are merged
and after; the same at a smaller size on a GCS server on loopback.

The rows are those of a smaller run (`benchmarks.large_run`), each many times under other ids, in
commits as a round of so many prompts leaves them. What models say is three times shorter there, so
that a disk holds the run twice.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import harness, large_run, object_store, queries, report
from benchmarks.report import Report
from pipelines.execution.intake import STAGE as INTAKE
from pipelines.execution.parts import claim, parts
from pipelines.execution.plan import Part, buckets_for, plan
from pipelines.execution.work import bucket_name
from schemas import TABLES, manifest
from schemas.entries import USAGE, DataFile, Entry
from schemas.table import MAIN
from schemas.views import connect
from spar_core.dataset import Dataset
from spar_core.merging import merge

PROMPTS = 1_000_000
STORED_PROMPTS = 50_000
QUICK_PROMPTS = 2_000

_TEMPLATE_PAIRS = 6_000
_SHORTER = 3
_COMMIT_PROMPTS = 250
"""Prompts of a commit: a bucket of 3,900 prompts has 16 commits in each stage."""

_INTAKE_PROMPTS = 10_000
_KEYS = {
    "sample": "select id from wanted",
    "judge": "select response_id from judgements",
    "tree_search": "select prompt_id from trees",
    "pairs": "select tree_id from trees where solved",
}
"""What a commit of each stage settles."""

_TABLES = {
    "sample": ("responses",),
    "judge": ("judgements",),
    "tree_search": ("trees", "nodes"),
    "pairs": ("pairs",),
}
_NAMES = "select prompt_id from all_prompts order by 1"
_OTHER = "other"
"""A variant that has done nothing yet."""


def write(run: str, prompts: int, template: str) -> None:
    """Write a run of so many prompts in one iteration, all done but the selection for the refiner.

    Args:
        template: a run of `large_run`.
    """
    job = replace(large_run.job_of(run), dataset=Dataset(run, 1))
    for claimed in parts(job, None):
        claim(job, claimed)
    buckets = buckets_for(prompts)
    for stage in _KEYS:
        job.dataset.buckets(stage, MAIN, buckets)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select (md5_number_lower(id) % {buckets})::int as bucket, id from "
            f"(select 'p' || md5(range::varchar)[:16] as id from range({prompts})) order by all"
        ).fetchall()
    ids = [name for _, name in found]
    shares = [(INTAKE, f"{at:07}", 0, some) for at, some in _cut(ids, _INTAKE_PROMPTS)]
    for bucket, of_bucket in groupby(found, key=lambda row: row[0]):
        for at, some in _cut([name for _, name in of_bucket], _COMMIT_PROMPTS):
            shares.append(("", bucket_name(bucket), at // _COMMIT_PROMPTS, some))
    with multiprocessing.get_context("spawn").Pool(
        os.cpu_count(), _open_template, (template,)
    ) as pool:
        pool.starmap(partial(_write_share, run), shares, chunksize=16)


def _cut(ids: Sequence[str], size: int) -> Iterator[tuple[int, Sequence[str]]]:
    for at in range(0, len(ids), size):
        yield at, ids[at : at + size]


@dataclass(slots=True)
class _Template:
    """The template's rows, in a process that makes others of them."""

    connection: duckdb.DuckDBPyConnection | None = None
    prompts: list[str] = field(default_factory=list)


_template = _Template()


def _open_template(run: str) -> None:
    connection = duckdb.connect()
    with connect(run) as held:
        for table in ("prompts", *(name for names in _TABLES.values() for name in names)):
            rows = held.sql(f"select * exclude (iteration) from {table} where iteration = 1")
            connection.register("rows", rows.to_arrow_table())
            connection.execute(f"create table all_{table} as from rows")
    _template.connection = connection
    _template.prompts = [name for (name,) in connection.sql(_NAMES).fetchall()]


def _write_share(run: str, stage: str, work: str, part: int, ids: Sequence[str]) -> None:
    """Commit what the stages make of some prompts, or the prompts themselves."""
    connection, known = _template.connection, _template.prompts
    assert connection is not None
    first = int(ids[0][1:9], 16)
    like = [known[(first + n) % len(known)] for n in range(len(ids))]
    connection.register("wanted", pa.table({"id": list(ids), "like": like}))
    dataset = Dataset(run, 1)
    if stage == INTAKE:
        _commit(dataset, connection, INTAKE, work, part, ("prompts",), "select id from wanted")
        return
    for name, tables in _TABLES.items():
        _commit(dataset, connection, name, work, part, tables, _KEYS[name])


def _commit(
    dataset: Dataset,
    connection: duckdb.DuckDBPyConnection,
    stage: str,
    work: str,
    part: int,
    tables: Sequence[str],
    keys: str,
) -> None:
    files = {}
    for table in tables:
        schema = TABLES[table].schema
        named = [column for column in schema.names if column.endswith("_id")]
        renamed = ", ".join(f'replace("{c}", t.prompt_id, w.id) as "{c}"' for c in named)
        connection.execute(
            f"create or replace temp table {table} as select t.* replace ({renamed}) "
            f'from wanted w join all_{table} t on t.prompt_id = w."like"'
        )
        rows = connection.table(table).to_arrow_table().cast(schema)
        if len(rows):
            buffer = io.BytesIO()
            pq.write_table(rows, buffer, compression="zstd")
            path = dataset.put(table, f"{stage}-{work}-{part}", buffer.getvalue())
            files[table] = DataFile(path, len(rows), TABLES[table].form)
    settled = tuple(key for (key,) in connection.sql(keys).fetchall())
    used = dict.fromkeys(USAGE, float(len(settled))) if stage != INTAKE else {}
    entry = Entry(stage, work, part, settled, files, usage=used)
    folder = f"{dataset.manifest}/{stage}"
    dataset.fs.makedirs(folder, exist_ok=True)
    dataset.create(f"{folder}/{work}.{part}.json", entry.to_json())


@dataclass(frozen=True, slots=True)
class Took:
    """What a process of its own took for one thing: seconds, and megabytes at most."""

    what: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def opened(run: str) -> list[Took]:
    return [_took("opening", lambda: connect(run, locked=True).close())]


def asked(run: str, page: Sequence[str]) -> list[Took]:
    """Every query of a page, one after the other."""
    with connect(run, locked=True) as connection:
        example = connection.execute("select min(pair_id) from pairs").fetchall()[0][0]
        return [
            _took(
                f"`{' '.join(query.split())}`",
                partial(_fetch, connection, queries.with_example(query, example)),
            )
            for query in page
        ]


def _fetch(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(query).fetchall()


def merged(run: str) -> list[Took]:
    dataset = Dataset(run, 1)

    def all_stages() -> None:
        for stage in (INTAKE, *_KEYS):
            merge(dataset, stage)

    return [_took("merging all stages", all_stages)]


def planned(run: str, stage: str, variant: str = _OTHER) -> list[Took]:
    """Planning a stage: for a variant that has nothing of it all is pending."""
    job = replace(large_run.job_of(run), dataset=Dataset(run, 1))
    [part] = [each.part for each in parts(job, None) if each.part.stage.name == stage]
    part = replace(part, variant=variant)
    counts: list[str] = []
    took = _took("", lambda: counts.append(_counts(part, job.dataset)))
    _clear(run)
    return [replace(took, what=f"planning {stage}, {counts[0]}")]


def _counts(part: Part, dataset: Dataset) -> str:
    made = plan(part, dataset, "bench")
    return f"{made.pending:,} of {made.total:,} pending"


def _clear(run: str) -> None:
    """Remove what planning left."""
    fs, root = fsspec.core.url_to_fs(run)
    fs.invalidate_cache()
    for path in (f"{root}/_work", *fs.glob(f"{root}/{manifest.FOLDER}/*/*@{_OTHER}*")):
        if fs.exists(path):
            fs.rm(path, recursive=True)


def _took(what: str, do: Callable[[], object]) -> Took:
    wall, cpu = time.monotonic(), time.process_time()
    do()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Took(what, time.monotonic() - wall, time.process_time() - cpu, peak)


def _apart(do: Callable[[], list[Took]]) -> list[Took]:
    """Do something in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(do)


def _steps(run: str, page: Sequence[str]) -> Iterator[list[Took]]:
    yield _apart(partial(opened, run))
    yield _apart(partial(asked, run, page))
    for stage in ("judge", "tree_search", "pairs", "rft"):
        yield _apart(partial(planned, run, stage))
    yield _apart(partial(planned, run, "judge", MAIN))


def _measured(run: str) -> tuple[list[Took], list[Took], list[Took]]:
    """Before merging, the merging, and after it."""
    page = queries.documented(queries.PAGE.read_text())
    before = [took for some in _steps(run, page) for took in some]
    merging = _apart(partial(merged, run))
    return before, merging, [took for some in _steps(run, page) for took in some]


def measure(prompts: int = PROMPTS, stored: int = STORED_PROMPTS) -> Report:
    """Measure on a disk and on an object store."""
    machine = report.machine()
    data: dict[str, object] = {"machine": machine}
    rows: list[list[object]] = []
    with harness.folder() as place:
        template = str(place / "template")
        pairs = min(_TEMPLATE_PAIRS, prompts)
        large_run.write(template, pairs, shorter=_SHORTER)
        for where, count in (("disk", prompts), ("object store", stored)):
            with _place(where, place) as run:
                began = time.monotonic()
                write(run, count, template)
                made_s = time.monotonic() - began
                before, merging, after = _measured(run)
                files = _files(run)
            rows += [
                [where, a.what, b.wall_s, a.wall_s, a.cpu_s, a.peak_mb]
                for b, a in zip(before, after, strict=True)
            ]
            rows += [[where, t.what, 0.0, t.wall_s, t.cpu_s, t.peak_mb] for t in merging]
            data[where] = {"prompts": count, "made_s": made_s, "files": files}
    columns = ("where", "what", "s before", "s", "CPU s", "peak MB")
    data["rows"] = [dict(zip(columns, row, strict=True)) for row in rows]
    on_disk = {str(row[1]): row for row in rows if row[0] == "disk"}
    opening = on_disk["opening"]
    figure = (f"opening a run of {prompts:,} prompts", f"{opening[3]:.2f} s", "merged, on a disk")
    return Report("million", f"A run of {prompts:,} prompts", columns, rows, [figure], data)


@contextmanager
def _place(where: str, folder: Path) -> Iterator[str]:
    if where == "disk":
        yield str(folder / "run")
        shutil.rmtree(folder / "run")
    else:
        with object_store.serving() as url:
            yield f"{url}/run"


def _files(run: str) -> dict[str, int]:
    """How many files count once it is merged, and how many did before."""
    dataset = Dataset(run, 1)
    after = sum(len(entry.files) for entry in dataset.entries().values())
    held = manifest.held(dataset.fs, dataset.root)
    return {"entries before": sum(len(of.entries) for of in held.values()), "files after": after}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--stored", type=int, default=STORED_PROMPTS, help="on the object store")
    o = parser.parse_args(argv)
    made = measure(o.prompts, o.stored)
    report.save(made)
    sys.stdout.write(report.markdown(made.columns, made.rows) + "\n")


if __name__ == "__main__":
    from benchmarks.million import main as _main  # by its own name, so that workers can unpickle

    _main()
