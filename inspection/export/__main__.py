"""Write a run's preference pairs and rft samples as a dataset, with a card that describes it."""

from __future__ import annotations

import argparse
import errno
import glob
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspection.export import card, files
from inspection.export.formats import FORMATS, REASONING, TABLES, Format, dataset_info
from schemas import TABLES as SCHEMAS
from schemas.selection import COLUMNS, Choice, Kinds, SelectionError
from schemas.table import MESSAGES, Kind, arrow_schema
from schemas.views import connect
from terminal.console import Console
from terminal.exits import BAD_USAGE, DONE, STOPPED, complain
from terminal.text import as_text

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
"""What sorting the rows may take; beyond it, it goes to the disk."""

_NOUNS = {"pairs": "pairs", "rft": "rft samples"}

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)

_ANY = Choice()


class NothingToExport(Exception):
    """The run has no pairs, or none that are asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inspection.export",
        description=__doc__,
        epilog="Exit codes: 0 done; 2 bad usage or nothing to export; 4 stopped (the disk is full, "
        "or it was interrupted), nothing was written.",
    )
    parser.add_argument("--run", default="runs/demo", help="folder of the run (default: runs/demo)")
    parser.add_argument(
        "--format",
        required=True,
        choices=list(FORMATS),
        help="trl: Parquet with what a trainer takes; huggingface: Parquet with every column, for "
        "`datasets` and the Hub; jsonl: a file a table, every column; llamafactory: ShareGPT "
        "files and dataset_info.json",
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder to make; it may not be there yet"
    )
    parser.add_argument(
        "--where",
        metavar="SQL",
        help="only pairs that meet this condition on their columns, e.g. 'similarity > 0.8'; rft "
        "samples too, if they have the columns that it names",
    )
    parser.add_argument("--iteration", type=int, metavar="N", help="only this one (default: all)")
    for column in COLUMNS:
        parser.add_argument(
            f"--{column}",
            metavar="NAME[,NAME]",
            help=f"only pairs and samples of this {column}, or of several; needed where the run "
            "holds more than one",
        )
    parser.add_argument(
        "--with_reasoning",
        action="store_true",
        help="with what models thought before their answers: a column in formats of all columns, "
        "<think> tags in the last turn of rft samples in others (default: without)",
    )
    parser.add_argument(
        "--licence",
        type=_licence,
        default=card.NO_LICENCE,
        metavar="ID",
        help="the dataset's licence as the Hub names it: apache-2.0, cc-by-4.0, ... "
        f"(default: {card.NO_LICENCE})",
    )
    options = parser.parse_args(argv)
    import duckdb

    out = Console(highlight=False)
    err = Console(stderr=True, highlight=False)
    try:
        made = export(
            options.run,
            FORMATS[options.format],
            options.output,
            options.where,
            options.iteration,
            options.licence,
            Choice.read(options.method, options.variant),
            with_reasoning=options.with_reasoning,
        )
    except KeyboardInterrupt:
        err.print("stopped: nothing was written")
        return STOPPED
    except (NothingToExport, SelectionError, duckdb.Error, OSError, ValueError) as error:
        message = str(error).partition("\n\n")[0]
        is_full = isinstance(error, OSError) and error.errno in _FULL
        return complain(err, message, STOPPED if is_full else BAD_USAGE)
    out.print(as_text(_report(options.output, made)), markup=False, soft_wrap=True)
    step = FORMATS[options.format].next_step.format(output=shlex.quote(options.output))
    out.print(f"\nNext: {as_text(step)}", markup=False, soft_wrap=True)
    return DONE


def export(
    run: str,
    form: Format,
    output: str,
    where: str | None = None,
    iteration: int | None = None,
    licence: str = card.NO_LICENCE,
    choice: Choice = _ANY,
    *,
    with_reasoning: bool = False,
) -> dict[str, int]:
    """Write a run's tables in a format; returns the rows of each that has any.

    Raises:
        NothingToExport: no pair is left.
        SelectionError: what is left is of several methods or variants, or of none chosen.
        FileExistsError: there is something at `output`.
        duckdb.Error: the condition is wrong, or tries to reach what is not in the run.
    """
    import duckdb

    if "://" in output:
        raise ValueError(f"--output is a folder on this machine, not {output}")
    with files.new_folder(output) as folder:
        picked = folder / ".picked"
        kinds, columns, facts = _pick(
            run, where, iteration, choice, picked, with_reasoning=with_reasoning
        )
        if not kinds["pairs"].total:
            raise NothingToExport(_nothing(run, where, iteration, choice))
        made = {table: some for table, some in kinds.items() if some.total}
        # What others wrote has been run, locked: from here on it is our own SQL on our own files.
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false")
            connection.execute(f"set memory_limit = '{MEMORY}'")
            connection.execute(f"set temp_directory = '{_quoted(picked / 'spill')}'")
            for table in made:
                _read(connection, picked / table).create_view(table)
                _write(connection, form, table, folder, with_reasoning=with_reasoning)
            names = os.path.basename(_root(run)), os.path.basename(os.path.realpath(output))
            selection = card.Selection(
                *names,
                form,
                where,
                iteration,
                choice,
                licence,
                made,
                columns,
                with_reasoning=with_reasoning,
            )
            text = card.render(connection, facts, selection)
        (folder / "README.md").write_text(text, encoding="utf-8")
        if form.name == "llamafactory":
            (folder / "dataset_info.json").write_text(dataset_info(list(made)))
        shutil.rmtree(picked)
    return {table: some.total for table, some in made.items()}


def _pick(
    run: str,
    where: str | None,
    iteration: int | None,
    choice: Choice,
    folder: Path,
    *,
    with_reasoning: bool,
) -> tuple[dict[str, Kinds], dict[str, dict[str, Kind]], card.Facts]:
    """Copy the rows asked for, whatever the condition says, once; with what the run says of them.

    Returns the counts and the columns of the rows by table, and the run's facts.

    The condition may be `random() < 0.1` or take long, so it is evaluated here only.
    """
    import duckdb

    kinds: dict[str, Kinds] = {}
    columns: dict[str, dict[str, Kind]] = {}
    with connect(run, locked=True) as connection:
        for table in TABLES:
            what = f"{_NOUNS[table]} of {run}"
            there, columns[table] = _with_extra(connection, table)
            if iteration is not None:
                there = there.filter(f"iteration = {int(iteration)}")
            if table == TABLES[0]:  # not every method makes rft samples
                choice.check_named(Kinds.of(there), what)
            chosen = choice.of(there)
            if where is not None:
                chosen = _filtered(chosen, where, table)
            if not with_reasoning:
                del columns[table][REASONING[table]]
                chosen = chosen.select(duckdb.StarExpression(exclude=[REASONING[table]]))
            schema = arrow_schema(columns[table])
            files.write_parquet(chosen.to_arrow_reader(files.ROWS), schema, folder / table)
            with duckdb.connect() as unlocked:
                kinds[table] = Kinds.of(_read(unlocked, folder / table))
            choice.check_one(kinds[table], what)
            if not kinds["pairs"].total:
                break
        variants = {str(name) for some in kinds.values() for name in some.values("variant")}
        return kinds, columns, card.facts(connection, run, iteration, variants)


def _with_extra(
    connection: duckdb.DuckDBPyConnection, table: str
) -> tuple[duckdb.DuckDBPyRelation, dict[str, Kind]]:
    """Return a table's rows and columns; pairs have their prompts' `extra`, if any has it."""
    columns: dict[str, Kind] = {**SCHEMAS[table].columns, "iteration": "int32"}
    has_extra = (
        table == TABLES[0]
        and connection.sql("from prompts where extra is not null limit 1").fetchall()
    )
    if not has_extra:
        return connection.view(table), columns
    query = f"""
        select {table}.*, extra from {table} left join
            (select prompt_id, iteration, any_value(extra) as extra from prompts group by all)
        using (prompt_id, iteration)
    """
    return connection.sql(query), {**columns, "extra": "string"}


def _read(connection: duckdb.DuckDBPyConnection, folder: Path) -> duckdb.DuckDBPyRelation:
    """Rows that were picked."""
    shards = [glob.escape(str(path)) for path in sorted(folder.iterdir())]
    return connection.read_parquet(shards, hive_partitioning=False)


def _filtered(rows: duckdb.DuckDBPyRelation, where: str, table: str) -> duckdb.DuckDBPyRelation:
    import duckdb

    try:
        return rows.filter(where)
    except duckdb.BinderException:
        if table == TABLES[0]:
            raise
        return rows


def _write(
    connection: duckdb.DuckDBPyConnection,
    form: Format,
    table: str,
    folder: Path,
    *,
    with_reasoning: bool,
) -> None:
    query = form.select(table, with_reasoning=with_reasoning)
    if form.files == "jsonl":
        reader = connection.sql(f"select to_json(r)::varchar from ({query}) r").to_arrow_reader(
            files.ROWS
        )
        files.write_jsonl(reader, folder / form.pattern(table))
    else:
        relation = connection.sql(query)
        names: list[str] = relation.columns
        whole = {**SCHEMAS[table].columns, "iteration": "int32", "extra": "string"}
        schema = arrow_schema({name: whole.get(name, MESSAGES) for name in names})
        shards = (folder / form.pattern(table)).parent
        files.write_parquet(relation.to_arrow_reader(files.ROWS), schema, shards)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _root(run: str) -> str:
    import fsspec

    root: str = fsspec.core.url_to_fs(run)[1]
    return root.rstrip("/")


def _licence(text: str) -> str:
    """An id of a licence, as it may stand in the card's head."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"no id of a licence, such as apache-2.0: {text!r}")
    return text.lower()


def _nothing(run: str, where: str | None, iteration: int | None, choice: Choice) -> str:
    asked = [
        *([choice.told()] if choice else []),
        *([f"iteration {iteration}"] if iteration is not None else []),
        *([f"--where {shlex.quote(where)}"] if where is not None else []),
    ]
    if asked:
        return f"no pairs of {run} meet {' and '.join(asked)}"
    return f"no pairs in {run} (python -m pipelines.refine makes them)"


def _report(output: str, made: dict[str, int]) -> str:
    rows = " and ".join(f"{number:,} {table}" for table, number in made.items())
    return f"{rows} in {os.path.join(output, '')}; README.md there describes them."


if __name__ == "__main__":
    sys.exit(main())
