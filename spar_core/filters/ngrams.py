"""Runs of words that texts have in common, by their hashes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

N = 13
"""Words of a run: shorter ones are said by chance, longer ones miss what was reworded."""

_POWERS = np.array([pow(0x9E3779B97F4A7C15, i, 1 << 64) for i in range(N)], dtype=np.uint64)

Hashes = NDArray[np.uint64]


def ngrams(words: Sequence[str]) -> Hashes:
    """The hashes of all runs of N words, the same in every process."""
    if len(words) < N:
        return np.zeros(0, dtype=np.uint64)
    codes = np.fromiter(map(_code, words), dtype=np.uint64, count=len(words))
    return np.correlate(codes, _POWERS)


@functools.lru_cache(maxsize=1 << 16)
def _code(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Ngrams:
    """Which text has a run of words: sorted hashes, and beside each the number of its text."""

    hashes: Hashes
    texts: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> Ngrams:
        """Those of texts, numbered in order; of a run in several, the first."""
        runs = [ngrams(words) for words in texts]
        numbers = np.repeat(np.arange(len(runs), dtype=np.int32), [len(run) for run in runs])
        hashes, first = np.unique(
            np.concatenate([np.zeros(0, dtype=np.uint64), *runs]), return_index=True
        )
        return cls(hashes, numbers[first])

    def found(self, words: Sequence[str]) -> int | None:
        """The text that has most runs in common with these words."""
        if not len(self.hashes):
            return None
        runs = np.unique(ngrams(words))
        places = np.minimum(np.searchsorted(self.hashes, runs), len(self.hashes) - 1)
        texts = self.texts[places[self.hashes[places] == runs]]
        return int(np.bincount(texts).argmax()) if len(texts) else None


def share(words: Sequence[str], of: Sequence[str]) -> float:
    """The share of a text's runs that others words have too."""
    runs = ngrams(of)
    return float(np.isin(runs, ngrams(words)).mean()) if len(runs) else 0.0
