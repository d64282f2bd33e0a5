"""A test kit: a stage's SQL and its task on rows in memory, with scripted engines.

It needs no Beam, no run on disk and no server: a call takes about 20 ms. What a stage writes is
tested here; that a job hands its options to the stage and commits its rows, by a whole job.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from typing import Any, NoReturn

import duckdb
import pyarrow as pa

from schemas import TABLES
from schemas.prompts import TRAIN
from schemas.table import MAIN, Table
from spar_core.dataset import Rows
from spar_core.engine.protocol import ChatRequest, Choice
from spar_core.engine.scripted import ScriptedEngine
from spar_core.engine.spec import EngineSpec
from spar_core.stage import DEFAULT_ROLES, Context, Item, Stage, add_options, roles_of
from spar_core.stage_items import items_of_rows
from spar_core.stage_task import settle
from terminal.exits import UsageError

FAILURES = "failures"

Answers = str | Sequence[str | Choice] | Callable[[ChatRequest], str | Sequence[str | Choice]]
"""What an engine answers: one text to every request; texts in the order in which they are asked
for, n of them to a request for n; or a function of the request that gives its n answers, or one
text for all n. The function may raise what an engine may raise."""

Tables = Mapping[str, Iterable[Any]]
"""Rows by table: instances of the table's row type, or mappings with some of its columns."""


@dataclass(frozen=True, slots=True)
class Made:
    """What stages made.

    rows: the rows of every table that they write, and those of `failures`; `made[table]` for short.
    items: the items by the stage's name, in the order in which they were done.
    engines: by role; `engines[role].requests` are the requests that were sent to it.
    """

    rows: Rows
    items: Mapping[str, list[Item]]
    engines: Mapping[str, ScriptedEngine]

    def __getitem__(self, table: str) -> list[Any]:
        return self.rows[table]


def run_stage(
    stage: Stage[Any],
    tables: Tables,
    answers: Answers | Mapping[str, Answers] = (),
    *,
    iteration: int = 1,
    variant: str = MAIN,
    seed: int = 0,
    scope: Sequence[str] | None = None,
    split: str = TRAIN,
    **options: Any,
) -> Made:
    """Do all items of a stage and return the rows that they give.

    Items are done one after the other, by key. One that its engine cannot answer (`ItemError`)
    becomes a row of `failures`, as in a job; any other error is raised.

    >>> from schemas.prompts import Prompt
    >>> from spar_core.stages.sample import SAMPLE
    >>> prompts = [Prompt("p1", "Name a bird.", source="birds.jsonl:1", position=0)]
    >>> made = run_stage(SAMPLE, {"prompts": prompts}, ["A wren.", "An owl."], responses=2)
    >>> [(row.response_id, row.response) for row in made["responses"]]
    [('i1.p1.r0', 'A wren.'), ('i1.p1.r1', 'An owl.')]
    >>> made["failures"]
    []

    Args:
        tables: the rows that the stage reads; a table that is not there has none. Columns that a
            mapping leaves out have their default, or are null.
        answers: of one engine that plays all roles of the stage; or by role, then an engine is
            named like its role in the column `model`.
        scope: ids of the prompts (or seeds, or items) to do, None for all.
        split: the split of the prompts to do.
        options: the stage's options on the command line, as `votes=3` or `stop_votes=True`;
            defaults are those of the command line.

    Raises:
        UsageError: an option that the stage does not have, or a value that it refuses.
        ValueError: a table or column that there is not, a value of another type than its column's,
            two items of one key, or a row for a table that the stage does not write.
    """
    return run_stages(
        (stage,),
        tables,
        answers,
        iteration=iteration,
        variant=variant,
        seed=seed,
        scope=scope,
        split=split,
        **options,
    )


def run_stages(
    stages: Sequence[Stage[Any]],
    tables: Tables,
    answers: Answers | Mapping[str, Answers] = (),
    *,
    iteration: int = 1,
    variant: str = MAIN,
    seed: int = 0,
    scope: Sequence[str] | None = None,
    split: str = TRAIN,
    **options: Any,
) -> Made:
    """Do the stages one after the other, each on the rows of those before; see `run_stage`."""
    held = {name: _plain(name, rows) for name, rows in tables.items()}
    engines = _engines(roles_of(tuple(stages)), answers)
    parsed = _parsed(tuple(stages), seed, options)
    made: Rows = {FAILURES: []}
    done: dict[str, list[Item]] = {}
    for stage in stages:
        settings = stage.settings(parsed)
        # A connection of its own: it sees the tables that the stage says it reads, and no others.
        with _database().cursor() as connection:
            items = items_of_rows(connection, stage, settings, held, split, scope)
        items.sort(key=lambda item: str(item["key"]))
        _check_keys(stage, items)
        done[stage.name] = items
        context: Context[Any] = Context(engines, settings, iteration, variant)
        for name, rows in asyncio.run(_settle_all(stage, context, items)).items():
            made.setdefault(name, []).extend(rows)
            held[name] = [*held.get(name, ()), *_plain(name, rows)]
    return Made(made, done, engines)


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    """An empty database, opened once: to open one takes ten times as long as to ask it."""
    return duckdb.connect(config={"threads": 1})


async def _settle_all(stage: Stage[Any], context: Context[Any], items: Iterable[Item]) -> Rows:
    rows: Rows = {name: [] for name in (*stage.writes, FAILURES)}
    for item in items:
        for name, some in (await settle(stage, context, item)).rows.items():
            if name not in rows:
                raise ValueError(f"stage {stage.name} does not say that it writes {name}")
            rows[name] += some
    return rows


def _check_keys(stage: Stage[Any], items: Iterable[Item]) -> None:
    counted = Counter(item["key"] for item in items)
    if twice := [key for key, count in counted.items() if count > 1 or not key]:
        raise ValueError(f"stage {stage.name} has several items, or none, of key {twice[0]!r}")


def _plain(name: str, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows of a table as its Arrow schema has them."""
    if name not in TABLES:
        raise ValueError(f"no table {name}: there are {', '.join(TABLES)}")
    table = TABLES[name]
    defaults = {f.name: f.default for f in fields(table.row) if f.default is not MISSING}
    plain: list[dict[str, Any]] = []
    for row in rows:
        if is_dataclass(row) and not isinstance(row, table.row):
            raise ValueError(f"a row of {name} is a {table.row.__name__}, not {row!r}")
        values = asdict(row) if isinstance(row, table.row) else {**defaults, **row}
        if unknown := values.keys() - {*table.schema.names}:
            raise ValueError(f"{name} has no column {min(unknown)}")
        plain.append(values)
    try:
        held = pa.Table.from_pylist(plain, table.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"a row of {name} does not fit its schema: {error}") from error
    return _as_read(table, held)


def _as_read(table: Table[Any], held: pa.Table) -> list[dict[str, Any]]:
    """Rows as the view of their table shows them (`Table.reads`)."""
    if table.reads:
        shown = ", ".join(f"{sql} as {column}" for column, sql in table.reads.items())
        with _database().cursor() as connection:
            connection.register("held", held)
            held = connection.sql(f"select * replace ({shown}) from held").to_arrow_table()
    read: list[dict[str, Any]] = held.to_pylist()
    return read


def _engines(
    roles: Sequence[str], answers: Answers | Mapping[str, Answers]
) -> dict[str, ScriptedEngine]:
    """An engine for every role; a role without answers of its own is played by its stand-in's."""
    if not isinstance(answers, Mapping):
        return dict.fromkeys(roles, _engine(answers))
    if unknown := answers.keys() - {*roles}:
        raise ValueError(f"no role {min(unknown)}: there are {', '.join(roles) or 'none'}")
    own = {role: _engine(each, name=role) for role, each in answers.items()}
    silent = _engine(())
    return {role: own.get(role) or own.get(DEFAULT_ROLES.get(role, ""), silent) for role in roles}


def _engine(answers: Answers, name: str = "scripted") -> ScriptedEngine:
    left: Iterator[str | Choice] = iter(() if callable(answers) else answers)

    def answer(request: ChatRequest) -> Sequence[str | Choice]:
        if callable(answers):
            said = answers(request)
        elif isinstance(answers, str):
            said = answers
        else:
            said = [each for _, each in zip(range(request.n), left, strict=False)]
        texts = [said] * request.n if isinstance(said, str) else said
        if len(texts) != request.n:
            asked = request.messages[-1]["content"]
            raise ValueError(f"{len(texts)} answers where {request.n} are asked for: {asked}")
        return texts

    return ScriptedEngine(answer, name=name)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parsed(
    stages: tuple[Stage[Any], ...], seed: int, options: Mapping[str, Any]
) -> argparse.Namespace:
    """The stages' options as a command line gives them, for engines that are scripted."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    add_options(parser, stages)
    line: list[str] = []
    for name, value in options.items():
        if value is True:
            line.append(f"--{name}")
        elif isinstance(value, list | tuple):
            line += [f"--{name}", *map(str, value)]
        elif value is not False:
            line.append(f"--{name}={value}")
    engines = {role: EngineSpec("scripted") for role in roles_of(stages)}
    parsed = parser.parse_args(line)
    parsed.seed, parsed.engines, parsed.bundled = seed, engines, frozenset()
    for group in dict.fromkeys(some for stage in stages for some in stage.options):
        group.check(parsed)
    return parsed
