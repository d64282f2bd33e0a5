"""The filters of prompts: what each costs a prompt, and near duplicates all together."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import report
from benchmarks.report import Report
from spar_core.filters.contamination import Contamination
from spar_core.filters.language import language
from spar_core.filters.near_duplicates import bands, signature, twins_sql
from spar_core.filters.subject import is_maths_or_code
from spar_core.filters.words import words

PROMPTS, QUICK_PROMPTS = 100_000, 500

_SHARD = 10_000
_KNOWN = 2000
"""Prompts of benchmarks; IFEval, IFBench and FollowBench have 1,767."""

_BEGINNINGS = (
    "Write a story about {} and {} for a friend who likes {}.",
    "Explain to a child what {} has to do with {}, {} and {}.",
    "Describe a day on which {}, {} and {} changed the life of {} for good.",
    "Compare {} with {}: which of them would {} choose, and why not {}?",
)
_CONSTRAINTS = (
    "Use at most {} words.",
    "Do not say {} or {} anywhere.",
    "End with a question about {}.",
    "Give the answer a title that holds {}.",
    "Divide it into parts, the first on {}, the second on {} and the last on {}.",
)


def measure(prompts: int = PROMPTS) -> Report:
    """Put made-up prompts through each filter, then look for twins among them."""
    machine = report.machine()
    texts = _prompts(prompts, seed=1)
    known = Contamination(("made up", text) for text in _prompts(_KNOWN, seed=2))
    filters: dict[str, Callable[[str], object]] = {
        "words": words,
        "language": language,
        "maths or code": is_maths_or_code,
        "contamination": known.found,
        "signature and bands": lambda text: bands(signature(text)),
    }
    taken = {name: _taken(each, texts) for name, each in filters.items()}
    with tempfile.TemporaryDirectory() as scratch:
        signed = _signed(texts, Path(scratch))
        began = time.process_time()
        twins = _twins(signed)
        taken["near duplicates, all together"] = time.process_time() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mean = sum(map(words, texts)) / prompts
    rows = [[name, 1000 * taken_s / prompts, taken_s] for name, taken_s in taken.items()]
    return Report(
        "filters",
        f"Filters: {prompts:,} prompts of {mean:.0f} words, {_KNOWN:,} prompts of benchmarks",
        ("filter", "CPU ms a prompt", "CPU s"),
        rows,
        [
            (
                "CPU of all filters, a prompt; memory at most",
                f"{1000 * sum(taken.values()) / prompts:.2f} ms; {peak_mb:.0f} MB",
                f"{prompts:,} prompts of {mean:.0f} words, {_KNOWN:,} prompts of benchmarks",
            )
        ],
        {"machine": machine, "prompts": prompts, "rows": rows, "twins": twins, "peak_mb": peak_mb},
    )


def _prompts(number: int, seed: int) -> list[str]:
    """Prompts from a few templates, every twentieth nearly one of those before it."""
    rng = Random(seed)
    vocabulary = ["".join(rng.choices("aeioubdfglmnprst", k=6)) for _ in range(20_000)]
    made: list[str] = []
    for place in range(number):
        if place % 20 == 19:
            made.append(f"{rng.choice(made)} Thanks!")
            continue
        parts = [rng.choice(_BEGINNINGS), *rng.sample(_CONSTRAINTS, 3)]
        made.append(" ".join(parts).format(*rng.choices(vocabulary, k=20)))
    return made


def _taken(each: Callable[[str], object], texts: Sequence[str]) -> float:
    """CPU seconds for all, once what the filter needs is loaded."""
    each("")
    began = time.process_time()
    for text in texts:
        each(text)
    return time.process_time() - began


def _signed(texts: Sequence[str], folder: Path) -> Path:
    """A file of what the table `seeds` has of texts."""
    bigints = pa.list_(pa.int64())
    schema = pa.schema(
        [("key", pa.string()), ("position", pa.int64())]
        + [(name, bigints) for name in ("signature", "bands")]
    )
    path = folder / "signed.parquet"
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(texts), _SHARD):
            places = range(start, min(start + _SHARD, len(texts)))
            signed = [signature(texts[place]) for place in places]
            columns = [[f"{place:08}" for place in places], places, signed, [*map(bands, signed)]]
            writer.write_table(pa.table(columns, schema))
    return path


def _twins(signed: Path) -> int:
    """How many have a twin, in the memory that a stage's planning has."""
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '1GB'")
        connection.execute(f"set temp_directory = '{signed.parent}'")
        source = f"(select * from '{signed}')"
        query = f"select count(twin) from ({twins_sql(source)})"
        return int(connection.sql(query).fetchall()[0][0])
