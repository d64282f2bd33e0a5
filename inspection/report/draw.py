"""The pairs that a report shows: as many as fit, drawn by a fixed seed, with their trees."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import duckdb

from inspection.report.chunks import Chunks, packed
from inspection.report.marks import marked

PAIRS = 10_000
"""So many pairs are shown at most unless asked otherwise."""

ROOM = 22_000_000
"""Bytes of the page that all pairs and trees may take."""

TEXT_CHARS = 2_000_000
"""Longer texts are cut, and say so."""

_PACKING = 3
"""Characters of text in a byte of the page, about: how many rows to read follows from it."""

_BATCH = 64
_SNIPPET_CHARS = 160

_ENTRY = (
    "iteration",
    "variant",
    "method",
    "similarity",
    "depth",
    "chosen_value",
    "rejected_value",
    "chosen_chars",
    "rejected_chars",
    "refinements",
    "tree_tokens",
)
"""Columns of `pairs` that the list shows, filters or sorts by."""

Label = TypeVar("Label")

_DRAW = """
    create temp table drawn as
    select iteration, p.variant, pair_id, tree_id, made_by as grown_by,
           row_number() over (order by draw, iteration, p.variant) - 1 as rank
    from (select iteration, variant, pair_id, tree_id, md5(pair_id) as draw from pairs
          order by draw, iteration, variant limit {limit}) p
    join lineage using (iteration, variant) where stage = 'tree_search'"""

_PAIR_CHARS = "select avg(chosen_chars + rejected_chars) from (from pairs limit 2000)"

_TREE_CHARS = """
    select sum(length(response) + length(reflection)
               + coalesce(list_sum(list_transform(votes, lambda v: length(v.text))), 0))
           / count(distinct tree_id)
    from (from nodes limit 5000)"""

_TEXT = "array_to_string(list_transform({0}, lambda m: m.content), chr(10) || chr(10))"

_PAIRS = f"""
    with part as (from drawn where rank >= {{first}} and rank < {{last}}),
    shapes as (
        select rank, list(struct_pack(id := node_id, parent := parent_id, depth := n.depth,
                   verdict := outcome, value := value, yes := yes_votes, no := no_votes,
                   unread := unparsed_votes) order by n."order") as nodes
        from nodes n join part using (iteration, tree_id) where n.variant = part.grown_by
        group by rank)
    select p.* exclude (prompt, chosen, rejected), p.prompt,
           {_TEXT.format("p.chosen")} as chosen, {_TEXT.format("p.rejected")} as rejected,
           q.position, shapes.nodes
    from pairs p join part using (iteration, variant, pair_id) left join shapes using (rank)
    left join (select iteration, prompt_id, any_value(position) as position
               from prompts group by all) q on q.iteration = p.iteration
               and q.prompt_id = p.prompt_id
    order by rank"""

_TREES = """
    with part as (from drawn where rank >= {first} and rank < {last})
    select rank, node_id, parent_id, response, reflection, critique, votes
    from nodes n join part using (iteration, tree_id) where n.variant = part.grown_by
    order by rank, n."order" """


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a report shows of a run's pairs, packed.

    searched: so many of them came of a search. with_trees: and so many have all its texts.
    index: what the list shows and filters by, of all of them. pairs, trees: chunks of texts.
    """

    total: int
    shown: int
    searched: int
    with_trees: int
    index: str
    pairs: list[str]
    trees: list[str]


def draw(connection: duckdb.DuckDBPyConnection, limit: int = PAIRS, room: int = ROOM) -> Drawn:
    """Draw and pack pairs: at most `limit`, in at most `room` bytes, half of it kept for trees."""
    total = _number(connection, "select count(*) from pairs")
    connection.execute(_DRAW.format(limit=int(limit)))
    pairs = Chunks(room // 2)
    chars = _number(connection, _PAIR_CHARS)
    entries = _fill(pairs, chars, min(total, limit), partial(_read_pairs, connection))
    trees = Chunks(room - pairs.used)
    chars = _number(connection, _TREE_CHARS)
    _fill(trees, chars, len(entries), partial(_read_trees, connection))
    held = [
        {**entry, "at": place, "tree": tree if entry["nodes"] else None}
        for entry, place, tree in itertools.zip_longest(entries, pairs.places, trees.places)
        if place is not None
    ]
    held.sort(key=lambda entry: (entry["iteration"], entry.pop("position"), entry["id"]))
    return Drawn(
        total=total,
        shown=len(held),
        searched=sum(entry["nodes"] > 0 for entry in held),
        with_trees=sum(entry["tree"] is not None for entry in held),
        index=packed({name: [entry[name] for entry in held] for name in (held or [{}])[0]}),
        pairs=pairs.closed,
        trees=trees.closed,
    )


def _fill(
    chunks: Chunks,
    chars: int,
    limit: int,
    read: Callable[[int, int], Iterator[tuple[Label, Any]]],
) -> list[Label]:
    """Read by rank, pack until nothing more fits, and return the labels of what was packed.

    Args:
        chars: the common length of an item; how many are read at once follows from it.
        limit: ranks from here on are not read.
    """
    labels: list[Label] = []
    step = max(_BATCH, chunks.room * _PACKING // max(1, chars))
    for first in range(0, limit, step):
        for label, item in read(first, min(limit, first + step)):
            if not chunks.has_room():
                break
            chunks.add(item)
            labels.append(label)
        chunks.close()
        if not chunks.has_room():
            break
    return labels


def _read_pairs(
    connection: duckdb.DuckDBPyConnection, first: int, last: int
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A pair's entry in the index, and its texts."""
    for row in _rows(connection, _PAIRS.format(first=first, last=last)):
        prompt = [[turn["role"], _cut(turn["content"])] for turn in row["prompt"]]
        nodes = row["nodes"] or []
        numbers = {node["id"]: number for number, node in enumerate(nodes)}
        entry = {name: row[name] for name in _ENTRY} | {
            "id": row["pair_id"],
            "position": row["position"] if row["position"] is not None else -1,
            "snippet": " ".join(prompt[-1][1][: 2 * _SNIPPET_CHARS].split())[:_SNIPPET_CHARS]
            if prompt
            else "",
            "nodes": len(nodes),
        }
        yield (
            entry,
            {
                "prompt": prompt,
                "marks": marked(_cut(row["rejected"]), _cut(row["chosen"])),
                "chosen": numbers.get(row["chosen_node_id"]),
                "nodes": [
                    {
                        **node,
                        "id": node["id"].removeprefix(row["tree_id"] or "").removeprefix("."),
                        "parent": numbers.get(node["parent"]),
                    }
                    for node in nodes
                ],
            },
        )


def _read_trees(
    connection: duckdb.DuckDBPyConnection, first: int, last: int
) -> Iterator[tuple[None, list[dict[str, Any]]]]:
    """The texts of a pair's tree, node by node; none for a pair without a tree."""
    rows = _rows(connection, _TREES.format(first=first, last=last))
    expected = first
    for rank, group in itertools.groupby(rows, key=lambda row: int(row["rank"])):
        for _ in range(expected, rank):
            yield None, []
        yield None, _node_texts(list(group))
        expected = rank + 1
    for _ in range(expected, last):
        yield None, []


def _node_texts(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Responses as changes of their parents; a critique that is a vote's text is its number."""
    responses = {node["node_id"]: _cut(node["response"]) for node in nodes}
    found = []
    for node in nodes:
        response = responses[node["node_id"]]
        texts = [vote["text"] for vote in node["votes"] or ()]
        critique = node["critique"]
        found.append(
            {
                "marks": marked(responses.get(node["parent_id"], response), response),
                "reflection": _cut(node["reflection"]),
                "critique": texts.index(critique) if critique in texts else _cut(critique),
                "votes": [
                    [vote["vote"], _cut(vote["text"]), vote["finish_reason"]]
                    for vote in node["votes"] or ()
                ],
            }
        )
    return found


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, Any]]:
    with connection.sql(query).to_arrow_reader(_BATCH) as reader:
        for batch in reader:
            yield from batch.to_pylist()


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    [(number,)] = connection.sql(query).fetchall()
    return int(number or 0)


def _cut(text: str | None) -> str:
    if text is None or len(text) <= TEXT_CHARS:
        return text or ""
    return f"{text[:TEXT_CHARS]}\n[cut here: {len(text):,} characters in all]"
