"""What a run's prompts took of the engines, read from its tables and its manifest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.table import MAIN
from schemas.views import connect, quoted
from spar_core.costs.prediction import Used
from spar_core.costs.savings import stop_votes
from spar_core.costs.taken import (
    JUDGE,
    SAMPLE,
    SEARCH,
    Cast,
    Child,
    Judging,
    Refining,
    Request,
    Taken,
)
from spar_core.dataset import Dataset
from spar_core.voting import JudgeSettings

MOST = 2_000
"""Of a run with more prompts so many are looked at, drawn at random."""

_MOST_FILES = 64
"""Likewise of the files of a table."""

_MAKERS = {
    "responses": SAMPLE,
    "judgements": JUDGE,
    "nodes": SEARCH,
    "trees": SEARCH,
    "pairs": "pairs",
    "rft": "rft",
}
"""The tables of a round, and the stage that writes each."""

_VOTES = "list_transform(votes, lambda v: {'vote': v.vote, 'chars': strlen(v.text)}) as votes"
_QUERIES = {
    "responses": "select prompt_id, prompt_tokens, completion_tokens from of_responses",
    "judgements": "select prompt_id, prompt_tokens, completion_tokens, outcome, "
    f"md5(response) as text, {_VOTES} "
    "from of_judgements join (select response_id, response from of_responses) using (response_id)",
    "nodes": "select prompt_id, parent_id, depth, prompt_tokens, completion_tokens, outcome, "
    f"md5(response) as text, strlen(response) + strlen(reflection) as chars, {_VOTES} "
    "from of_nodes where depth > 0",
    "trees": "select prompt_id, strategy, malformed, prompt_tokens, completion_tokens "
    "from of_trees",
}
_ORDERS = {"responses": "response_id", "judgements": "response_id", "nodes": '"order"'}
_USED = ("requests", "prompt_tokens", "completion_tokens", "engine_s")
_REFINE_SHARE = 0.55
"""Of a first child's prompt tokens the refine request's, where no sibling tells."""
_MARKS = 40
"""Characters of a refinement that the tables do not hold."""

Row = dict[str, Any]
Grouped = dict[str, list[Row]]


@dataclass(frozen=True, slots=True)
class Rows:
    """What prompts took, those that are looked at in the order of their ids.

    prompts: how many there are in all. pairs, samples: how many of each came of them.
    bytes_per_token: what a completion token takes on the disk, with all that stands beside it.
    """

    taken: tuple[Taken, ...]
    prompts: int
    pairs: int
    samples: int
    bytes_per_token: float


def read(
    dataset: Dataset,
    makers: Mapping[str, str],
    voting: JudgeSettings,
    of: Sequence[str] | None = None,
    seed: int = 0,
) -> Rows:
    """Read what prompts took.

    Args:
        makers: by stage the variant whose rows these are.
        of: ids of the prompts; None for all that have responses.
    """
    with connect(dataset.run, tuple(_MAKERS)) as connection:
        for table, stage in _MAKERS.items():
            connection.execute(
                f"create temp view of_{table} as select * from {table} where iteration = "
                f"{dataset.iteration} and variant = {quoted(makers.get(stage, MAIN))}"
            )
        connection.execute("create temp table every as select distinct prompt_id from of_responses")
        if of is not None:
            connection.register("chosen", pa.table({"prompt_id": pa.array(of, pa.string())}))
            connection.execute("delete from every where prompt_id not in (from chosen)")
        connection.execute(
            "create temp table wanted as from (select prompt_id from every order by "
            f"md5(prompt_id || ':{int(seed)}') limit {MOST}) order by prompt_id"
        )
        return _read(connection, dataset, makers, voting)


def used(dataset: Dataset, makers: Mapping[str, str]) -> dict[str, Used]:
    """What the engines were asked for a run's stages until now."""
    sums: dict[str, dict[str, float]] = {}
    for entry in dataset.entries().values():
        if makers.get(entry.stage, MAIN) == entry.variant:
            of_stage = sums.setdefault(entry.stage, dict.fromkeys(_USED, 0.0))
            for name in _USED:
                of_stage[name] += entry.usage.get(name, 0.0)
    return {
        stage: Used(
            requests=of["requests"],
            prompt_tokens=of["prompt_tokens"],
            completion_tokens=of["completion_tokens"],
            seconds=of["engine_s"],
        )
        for stage, of in sums.items()
        if of["requests"]
    }


def _read(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    makers: Mapping[str, str],
    voting: JudgeSettings,
) -> Rows:
    wanted = [key for (key,) in connection.sql("from wanted").fetchall()]
    grouped = {table: _grouped(connection, table) for table in _QUERIES}
    taken = [_taken({table: of.get(key, []) for table, of in grouped.items()}) for key in wanted]
    most = max((len(j.votes) for each in taken for j in each.judgings), default=0)
    if any(0 < len(j.votes) < most for each in taken for j in each.judgings):
        taken = [stop_votes(each, voting.votes, voting.quorum) for each in taken]
    [prompts, pairs, samples] = [
        _number(connection, f"select count(*) {query}")
        for query in (
            "from every",
            "from of_pairs semi join every using (prompt_id)",
            "from of_rft semi join every using (prompt_id)",
        )
    ]
    tokens = sum(
        _number(connection, f"select coalesce(sum(completion_tokens), 0) from of_{table}")
        for table in ("responses", "judgements", "trees")
    )
    size = _size(dataset, makers)
    return Rows(tuple(taken), prompts, pairs, samples, size / max(1, tokens))


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.sql(query).fetchall()[0][0])


def _size(dataset: Dataset, makers: Mapping[str, str]) -> float:
    """Bytes that the rows of a round's tables take in their files, footers left out.

    Footers are most of a probe's many small files, and little of larger ones.
    """
    paths: dict[str, list[str]] = {}
    for entry in dataset.entries().values():
        if makers.get(entry.stage, MAIN) == entry.variant:
            for table, file in entry.files.items():
                paths.setdefault(table, []).append(f"{dataset.root}/{file.path}")
    size = 0.0
    for table in paths.keys() & _MAKERS.keys():
        some = paths[table][:: -(-len(paths[table]) // _MOST_FILES)]
        size += len(paths[table]) / len(some) * sum(_data_bytes(dataset, path) for path in some)
    return size


def _data_bytes(dataset: Dataset, path: str) -> int:
    with dataset.fs.open(path, "rb") as file:
        footer = pq.read_metadata(file)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return sum(
        group.column(number).total_compressed_size
        for group in groups
        for number in range(group.num_columns)
    )


def _grouped(connection: duckdb.DuckDBPyConnection, table: str) -> Grouped:
    """The rows of a table by prompt."""
    query = f"{_QUERIES[table]} {'and' if 'where' in _QUERIES[table] else 'where'} prompt_id in "
    query += f"(from wanted) order by prompt_id, {_ORDERS.get(table, 'prompt_id')}"
    rows = connection.sql(query).to_arrow_table().to_pylist()
    return {key: list(some) for key, some in itertools.groupby(rows, lambda row: row["prompt_id"])}


def _taken(rows: Mapping[str, list[Row]]) -> Taken:
    responses = rows["responses"]
    sampled = Request(
        SAMPLE,
        sum(row["prompt_tokens"] for row in responses),
        tuple(row["completion_tokens"] for row in responses),
    )
    judgings = tuple(
        _judging(row, row["prompt_tokens"], row["completion_tokens"]) for row in rows["judgements"]
    )
    tree = rows["trees"][0] if rows["trees"] else None
    return Taken(sampled, judgings, _levels(tree, rows["nodes"]) if tree else ())


def _judging(row: Row, prompt_tokens: int, tokens: int) -> Judging:
    """How a row's response was judged; its tokens are shared out by the length of the votes."""
    votes = row["votes"] or []
    chars = sum(vote["chars"] for vote in votes)
    casts = tuple(
        Cast(vote["vote"], round(tokens * vote["chars"] / chars) if chars else 0) for vote in votes
    )
    rounds = (casts,) if casts and tokens else ()
    return Judging(prompt_tokens, rounds, row["text"], row["outcome"] == "yes")


def _levels(tree: Row, nodes: Sequence[Row]) -> tuple[tuple[Refining, ...], ...]:
    """A search as it went: BFS refines the nodes of a level at once, others one after another."""
    of_parent: dict[str, list[Row]] = {}
    for node in _copies_unjudged(nodes):
        of_parent.setdefault(node["parent_id"], []).append(node)
    of_level: dict[Any, list[Refining]] = {}
    for parent, children in of_parent.items():
        level = children[0]["depth"] if tree["strategy"] == "bfs" else parent
        of_level.setdefault(level, []).append(_refining(children))
    levels = [tuple(level) for level in of_level.values()]
    lost = _unreadable(tree, nodes)
    if lost is None:
        return tuple(levels)
    if not levels:
        return ((lost,),)
    (first, *beside), *later = levels
    both = Refining(first.prompt_tokens + lost.prompt_tokens, (*first.children, *lost.children))
    return ((both, *beside), *later)


def _copies_unjudged(nodes: Sequence[Row]) -> list[Row]:
    """The nodes, without the votes that a copy of an earlier text took over: they cost nothing."""
    seen: set[tuple[str, str]] = set()
    rows = []
    for node in nodes:
        judged = (node["text"], str(node["votes"]))
        rows.append({**node, "votes": []} if judged in seen else node)
        seen.add(judged)
    return rows


def _refining(children: Sequence[Row]) -> Refining:
    """What made siblings; the first of them bears the prompt tokens of the request."""
    first, *others = children
    judged = [row["prompt_tokens"] for row in others if row["votes"]]
    if judged:
        asked = max(0, first["prompt_tokens"] - round(sum(judged) / len(judged)))
    else:
        asked = round(_REFINE_SHARE * first["prompt_tokens"])
    return Refining(
        asked,
        tuple(
            _child(row, row["prompt_tokens"] - (asked if row is first else 0)) for row in children
        ),
    )


def _child(row: Row, prompt_tokens: int) -> Child:
    """A node; its tokens are shared out by the length of its texts."""
    said = sum(vote["chars"] for vote in row["votes"] or [])
    written = row["chars"] + _MARKS
    tokens = row["completion_tokens"]
    refining = round(tokens * written / (written + said))
    return Child(refining, _judging(row, prompt_tokens, tokens - refining))


def _unreadable(tree: Row, nodes: Sequence[Row]) -> Refining | None:
    """The answers of a search that were no refinement, as one request."""
    count = tree["malformed"]
    if not count:
        return None
    tokens = tree["completion_tokens"] - sum(node["completion_tokens"] for node in nodes)
    prompt_tokens = tree["prompt_tokens"] - sum(node["prompt_tokens"] for node in nodes)
    return Refining(max(0, prompt_tokens), (Child(round(max(0, tokens) / count), None),) * count)
