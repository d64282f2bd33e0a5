"""A run as DuckDB sees it: a view per table over the committed files, and views that sum up.

`iteration` is a column of every view of a table.
"""

from __future__ import annotations

import glob

import duckdb
import fsspec
import pyarrow as pa

from schemas import TABLES, manifest

SUMMARIES: dict[str, str] = {
    "solved_by_depth": """
        select iteration, chosen_depth as depth, count(*) as trees,
               count(*) filter (solved) as solved,
               round(count(*) filter (solved) / any_value(whole.trees), 3) as share_of_all_trees,
               sum(refinements)::bigint as refinements, sum(malformed)::bigint as malformed
        from trees join (select iteration, count(*) as trees from trees group by all) whole
            using (iteration)
        group by iteration, chosen_depth order by all""",
    "pair_quality": """
        select iteration, count(*) as pairs,
               round(avg(similarity), 3) as similarity,
               round(median(similarity), 3) as median_similarity,
               round(avg(chosen_value), 3) as chosen_value,
               round(avg(rejected_value), 3) as rejected_value,
               round(avg(depth), 2) as depth,
               round(avg(chosen_chars), 0)::int as chosen_chars,
               round(avg(rejected_chars), 0)::int as rejected_chars
        from pairs group by all order by all""",
    "verdicts": """
        select iteration, verdict, count(*) as responses,
               sum(yes_votes)::bigint as yes_votes, sum(no_votes)::bigint as no_votes,
               sum(unparsed_votes)::bigint as unparsed_votes
        from judgements group by all order by all""",
    "token_cost": """
        with spent as (
            select iteration, 'sample' as stage, prompt_tokens, completion_tokens from responses
            union all
            select iteration, 'judge', prompt_tokens, completion_tokens from judgements
            union all
            select iteration, 'tree_search', prompt_tokens, completion_tokens from trees),
        made as (select iteration, count(*) as pairs from pairs group by all)
        select iteration, stage, sum(prompt_tokens)::bigint as prompt_tokens,
               sum(completion_tokens)::bigint as completion_tokens,
               round(sum(completion_tokens) / any_value(pairs), 0)::bigint
                   as completion_tokens_per_pair
        from spent left join made using (iteration)
        group by iteration, stage order by iteration, stage""",
    "engine_use": """
        with made as (select iteration, count(*) as pairs from pairs group by all)
        select iteration, stage, sum(requests)::bigint as requests,
               sum(retries)::bigint as retries, sum(replayed)::bigint as replayed,
               round(sum(engine_s), 1) as engine_s,
               round(sum(completion_tokens) / nullif(sum(engine_s), 0))::bigint as tokens_per_s,
               round(sum(latency_ms_sum) / nullif(sum(slots_samples), 0))::bigint
                   as mean_latency_ms,
               max(latency_ms_max)::bigint as max_latency_ms,
               round(sum(slots_sum) / nullif(sum(slots_samples), 0), 1) as mean_in_flight,
               round(sum(engine_s) / any_value(pairs), 2) as engine_s_per_pair
        from usage left join made using (iteration)
        group by iteration, stage having sum(requests) + sum(replayed) > 0
        order by iteration, stage""",
    "failures_by_cause": """
        select iteration, stage, error, count(*) as items, any_value(message) as example
        from failures group by all order by all""",
    "judge_bias": """
        with sided as (
            select iteration, 'judge' as stage, verdict = 'yes' as judge, checked as program
            from judgements where verdict in ('yes', 'no')
            union all
            select iteration, 'tree_search', verdict = 'yes', checked
            from nodes where depth > 0 and verdict in ('yes', 'no'))
        select iteration, stage, count(*) as checked,
               count(*) filter (judge and program) as both_yes,
               count(*) filter (judge and not program) as judge_yes_check_no,
               count(*) filter (not judge and program) as judge_no_check_yes,
               count(*) filter (not judge and not program) as both_no,
               round(count(*) filter (judge = program) / count(*), 3) as agreement,
               round(count(*) filter (judge and not program)
                   / nullif(count(*) filter (judge), 0), 3) as share_of_yes_denied
        from sided where program is not null group by all order by all""",
}
"""Views that sum a run up, by name."""


def connect(
    run: str, tables: tuple[str, ...] | None = None, *, locked: bool = False
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with views over a run's committed files.

    Args:
        run: a folder, local or `gs://`, `s3://`, ...
        tables: only these tables (and no summaries); None for all.
        locked: for SQL that others wrote: whatever it says, it can open the run's committed files
            and no others, load no extension and change no setting.
    """
    fs, root = fsspec.core.url_to_fs(run)
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    if "file" not in _protocols(fs):
        connection.register_filesystem(fs)
    files: dict[str, dict[int, list[str]]] = {name: {} for name in TABLES}
    entries = manifest.read(fs, root)
    for path, entry in entries.items():
        for name, file in entry.files.items():
            files[name].setdefault(manifest.iteration_of(path), []).append(
                fs.unstrip_protocol(f"{root}/{file.path}").removeprefix("file://")
            )
    for name in tables or TABLES:
        _create_view(connection, name, files[name])
    if tables is None:
        connection.register("_usage", _usage(entries))
        connection.execute("create table usage as select * from _usage")
        for name, query in SUMMARIES.items():
            connection.execute(f"create view {name} as {query}")
    if locked:
        everything = [path for some in files.values() for paths in some.values() for path in paths]
        allowed = sorted({*everything, *_literal(everything)})
        connection.execute(f"set allowed_paths = {_listed(allowed)}")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
    return connection


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _create_view(
    connection: duckdb.DuckDBPyConnection, name: str, paths: dict[int, list[str]]
) -> None:
    """A view over files, some of which may be of earlier times and lack a column."""
    schema = TABLES[name].schema.append(pa.field("iteration", pa.int32()))
    connection.register(f"_no_{name}", schema.empty_table())
    parts = [f"select * from _no_{name}"] + [
        f"select *, {iteration} as iteration from read_parquet("
        f"{_listed(_literal(some))}, hive_partitioning = false, union_by_name = true)"
        for iteration, some in sorted(paths.items())
    ]
    connection.execute(f"create view {name} as {' union all by name '.join(parts)}")


def _usage(entries: dict[str, manifest.Entry]) -> pa.Table:
    """What the commits say of their use of the engine: a row each."""
    schema = pa.schema(
        [("iteration", pa.int32()), ("stage", pa.string())]
        + [(name, pa.float64()) for name in manifest.USAGE]
    )
    rows = [
        {"iteration": manifest.iteration_of(path), "stage": entry.stage, **entry.usage}
        for path, entry in entries.items()
        if entry.usage
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _literal(paths: list[str]) -> list[str]:
    """Local paths written so that DuckDB takes no character in them for a pattern."""
    return [path if "://" in path else glob.escape(path) for path in paths]


def _listed(paths: list[str]) -> str:
    """Paths as a list in SQL."""
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
