"""A run's files as jobs leave them, written without a job: rows of any method and variant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from schemas import TABLES
from schemas.entries import DataFile, Entry
from schemas.pairs import Message, Pair
from schemas.rft import RftSample
from schemas.table import MAIN, SPAR


def pair(number: int, method: str = SPAR, variant: str = MAIN) -> Pair:
    """A short pair; of another method than spar it has no tree."""
    is_grown = method == SPAR
    text = f"{number} of {method} in {variant}"
    return Pair(
        pair_id=f"p{number}.{method}.{variant}",
        prompt=[Message("user", f"Say {number}.")],
        chosen=[Message("assistant", text)],
        rejected=[Message("assistant", f"not {text}")],
        prompt_id=f"prompt{number}",
        tree_id=f"t{number}" if is_grown else None,
        chosen_node_id=f"t{number}.1" if is_grown else None,
        rejected_response_id=f"r{number}",
        method=method,
        similarity=number / 100,
        depth=1 if is_grown else None,
        chosen_value=1.0,
        rejected_value=0.0,
        chosen_yes_votes=3,
        chosen_no_votes=0,
        rejected_yes_votes=0,
        rejected_no_votes=3,
        chosen_chars=len(text),
        rejected_chars=len(text) + 4,
        refinements=2 if is_grown else None,
        tree_tokens=9 if is_grown else None,
        chosen_response_id=None if is_grown else f"r{number}.1",
        variant=variant,
    )


def sample(number: int, variant: str = MAIN) -> RftSample:
    chat = [Message("user", f"Judge {number}."), Message("assistant", f"Yes, in {variant}.")]
    return RftSample(
        *(f"s{number}.{variant}", chat, "judge", "Yes", "response_judgement", 1.0),
        *(f"prompt{number}", None, None, f"r{number}", SPAR, variant),
    )


def commit(
    run: Path, table: str, rows: Sequence[Any], *, iteration: int = 1, without: Sequence[str] = ()
) -> Path:
    """Add rows to a run, in files that lack some columns, as earlier versions wrote them."""
    written = TABLES[table].to_arrow(rows).drop_columns(list(without))
    folder = run / table / f"iteration={iteration}"
    folder.mkdir(parents=True, exist_ok=True)
    work = f"w{len(list(folder.iterdir()))}"
    path = folder / f"{work}.parquet"
    pq.write_table(written, path)
    file = DataFile(str(path.relative_to(run)), len(rows), "" if without else TABLES[table].form)
    entry = Entry(table, work, 0, (work,), {table: file})
    noted = run / "_manifest" / f"iteration={iteration}" / table / f"{work}.0.json"
    noted.parent.mkdir(parents=True, exist_ok=True)
    noted.write_bytes(entry.to_json())
    return run


def mixed(run: Path) -> Path:
    """An iteration of two methods and two variants: 8 pairs of spar in main, 6 of spar in dfs,
    4 independent ones in main; 5 samples in main, 3 in dfs."""
    commit(run, "pairs", [pair(n) for n in range(8)])
    commit(run, "pairs", [pair(n, SPAR, "dfs") for n in range(6)])
    commit(run, "pairs", [pair(n, "independent") for n in range(4)])
    commit(run, "rft", [sample(n) for n in range(5)])
    return commit(run, "rft", [sample(n, "dfs") for n in range(3)])
