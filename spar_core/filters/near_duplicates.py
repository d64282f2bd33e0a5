"""Near duplicates: texts with nearly the same words in nearly the same order, by MinHash.

A text is the set of its words and of its pairs of neighbours, its ends among them. Two prompts of
ten words that differ in one share 0.75 of theirs, of seven words 0.67, of five 0.57: that far a
changed word is the same prompt again or another one from the same template.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spar_core.filters import words
from spar_core.filters.library import needed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THRESHOLD = 0.68
"""Similar from here on. One changed word of 10 is found in 99.6 % of cases, of 6 in 1 %."""

_HASHES = 512
"""Of each the least value is kept, and of that a byte: an eighth of the size, nearly as exact."""
_BANDS, _ROWS = 40, 6
"""Bytes of a band: of texts that are 0.74 alike 99.9 % have a band in common, of 0.3 3 %."""
_FACTOR = 0x9E3779B1
_AT_ONCE = 64

_EARLY = 2
"""Rows with a band in common that later ones are compared with: the number bounds the time."""


@functools.lru_cache(maxsize=256)
def signature(text: str) -> tuple[int, ...]:
    """What is kept of a text to tell how similar others are: 64 integers of 64 bits, signed.

    Raises:
        NoLibrary: datasketch is not installed.
    """
    import numpy as np

    sketch = _sketch().copy()
    shingles = [shingle.encode() for shingle in _shingles(words.split(text))]
    for start in range(0, len(shingles), _AT_ONCE):
        sketch.update_batch(shingles[start : start + _AT_ONCE])
    # The low bits of a minimum follow from the low bits of what was hashed; a product's top do not.
    kept = (sketch.hashvalues * np.uint32(_FACTOR)) >> np.uint32(24)
    return tuple(kept.astype(np.uint8).view("<i8").tolist())


def bands(signature: Sequence[int]) -> tuple[int, ...]:
    """What similar texts have at least one of in common: 40 integers."""
    import numpy as np

    kept = np.array(signature, dtype="<i8").tobytes()
    return tuple(
        int.from_bytes(kept[band * _ROWS : (band + 1) * _ROWS]) | band << 8 * _ROWS
        for band in range(_BANDS)
    )


def similarity(one: Sequence[int], other: Sequence[int]) -> float:
    """How similar texts are by their signatures, 0 to 1: Jaccard's measure, give or take 0.02."""
    import numpy as np

    return float(similarities(one, np.array([other]))[0])


def similarities(one: Sequence[int], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """`similarity` of a text with others, a row each."""
    import numpy as np

    differing = np.bitwise_count((others ^ np.array(one)).view(np.uint64)).sum(axis=1, dtype=int)
    # Bits of different minima are equal by chance in half of all cases.
    estimated: NDArray[np.float64] = np.maximum(0.0, 1 - differing / (4 * _HASHES))
    return estimated


def twins_sql(source: str) -> str:
    """SQL for the near duplicates among the rows of a table: `key` and its `twin`, null for none.

    The twin is the key of an earlier row that is similar. A row that has a twin can itself be one.

    Args:
        source: a table, or a query in brackets, with the columns key, position, signature and
            bands. Earlier means a smaller position, then a smaller key.
    """
    differing = " + ".join(
        f"bit_count(xor(one.signature[{i}], other.signature[{i}]))::int"
        for i in range(1, _HASHES // 8 + 1)
    )
    # Joined with the signatures and compared in one step, the comparison takes ten times as long.
    return f"""
with numbered as materialized (
    select key, signature, bands, row_number() over (order by position, key) as n from {source}),
banded as materialized (select n, unnest(bands) as band from numbered),
shared as (select band from banded group by band having count(*) > 1),
early as (
    select band, n from banded semi join shared using (band)
    qualify row_number() over (partition by band order by n) <= {_EARLY}),
pair as materialized (
    select distinct banded.n, early.n as earlier
    from banded join early on banded.band = early.band and early.n < banded.n),
compared as materialized (
    select pair.n, pair.earlier, {differing} as differing
    from pair join numbered one on one.n = pair.n join numbered other on other.n = pair.earlier),
alike as (
    select n, min(earlier) as earlier from compared
    where differing <= {int((1 - THRESHOLD) * 4 * _HASHES)} group by n)
select one.key, other.key as twin
from numbered one left join alike using (n) left join numbered other on other.n = alike.earlier
"""


def _shingles(said: Sequence[str]) -> set[str]:
    ends = ["", *said, ""]
    return {*said, *(f"{one} {other}" for one, other in pairwise(ends))}


@functools.cache
def _sketch() -> Any:
    """The sketch of nothing yet; to draw its permutations takes as long as a text."""
    library = needed("datasketch", "datasketch", "the filter of near duplicates", "evolve")
    return library.MinHash(_HASHES, seed=1, scheme="affine32")
