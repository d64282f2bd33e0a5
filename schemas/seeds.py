"""`seeds`: a row is a plain instruction that prompts are evolved from."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.prompts import TRAIN
from schemas.table import Table


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed; `position` is its place among the run's seeds, `source` the file and line.

    signature, bands: of its MinHash, by which near duplicates are found
    (spar_core.filters.near_duplicates). split: what the prompts evolved from it are for.
    """

    seed_id: str
    seed: str
    source: str
    position: int
    signature: list[int]
    bands: list[int]
    split: str = TRAIN


SEEDS = Table(
    "seeds",
    Seed,
    {
        "seed_id": "string",
        "seed": "string",
        "source": "string",
        "position": "int64",
        "signature": ["int64"],
        "bands": ["int64"],
        "split": "string",
    },
)
