"""Contamination: prompts that are a benchmark's, or contain one of its prompts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from spar_core.filters import benchmarks, ngrams, words
from spar_core.filters.benchmarks import BadBenchmark
from spar_core.filters.near_duplicates import THRESHOLD, bands, signature, similarities
from spar_core.filters.ngrams import N, Ngrams
from spar_core.filters.one_edit import OneEdit

__all__ = ["BadBenchmark", "Contamination", "Hit"]

SHORTEST = 5
"""Words of a benchmark's prompt from which on it is found inside a text with another word, too."""

SHORTEST_SENTENCE = 4
"""Words from which on a whole sentence with another word counts as the same."""

NGRAM = f"{N}-gram"
NEAR_DUPLICATE = "near_duplicate"

_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Hit:
    """What a text has of a benchmark.

    place: the benchmark's file and row. text: the benchmark's, shortened.
    how: `13-gram` or `near_duplicate`.
    similarity: the share of its 13-grams, or of its words, that are found; of near duplicates,
    how similar the two texts are.
    """

    place: str
    text: str
    how: str
    similarity: float


@dataclass(frozen=True, slots=True)
class _Known:
    place: str
    text: str
    words: tuple[str, ...]


class Contamination:
    """The prompts of benchmarks, and whether a text holds one of them.

    - 13 words in a row are the same, or
    - a prompt of 5 to 25 words stands in the text, one word of it changed, left out or put in
      (of longer ones, that leaves 13 in a row), or
    - the texts as wholes are near duplicates, or
    - the text, or a sentence of it, is a prompt of less than 5 words (of 4: one of them changed,
      left out or put in).

    fingerprint: changes when the prompts do, whatever their files are called.
    """

    def __init__(self, prompts: Iterable[tuple[str, str]]) -> None:
        """Know prompts, each with the place that it is from."""
        known: dict[tuple[str, ...], _Known] = {}
        digest = hashlib.sha256()
        for place, text in prompts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
            said = tuple(words.split(text))
            if said:
                known.setdefault(said, _Known(place, text, said))
        self._known = list(known.values())
        self.fingerprint = digest.hexdigest()[:16]
        self._runs = Ngrams.of(each.words for each in self._known)
        self._inside = OneEdit()
        self._short: dict[tuple[str, ...], int] = {}
        self._banded: dict[int, list[int]] = defaultdict(list)
        signatures = [signature(each.text) for each in self._known]
        self._signatures = np.array(signatures, dtype=np.int64)
        for number, each in enumerate(self._known):
            if len(each.words) < SHORTEST:
                self._short[each.words] = number
                continue
            for reading in _readings(each.text):
                if SHORTEST <= len(reading) < 2 * N:
                    self._inside.add(number, reading)
            for band in bands(signatures[number]):
                self._banded[band].append(number)

    @classmethod
    def read(cls, files: Sequence[str]) -> Contamination:
        """Know the prompts of files (spar_core.filters.benchmarks says which can be read).

        Raises:
            BadBenchmark: a file is not there, cannot be read or has no prompts.
        """
        return cls(benchmarks.read(files))

    def __len__(self) -> int:
        """How many different prompts are known."""
        return len(self._known)

    def found(self, text: str) -> Hit | None:
        """What a text has of a benchmark, if anything."""
        said = tuple(words.split(text))
        run = self._runs.found(said)
        if run is not None:
            return self._hit(run, NGRAM, ngrams.share(said, self._known[run].words))
        for reading in _readings(text):
            inside = self._inside.found(reading)
            if inside is not None:
                number, edits = inside
                return self._hit(number, NEAR_DUPLICATE, 1 - edits / len(self._known[number].words))
        return self._short_one(text, said) or self._similar(text)

    def _short_one(self, text: str, said: tuple[str, ...]) -> Hit | None:
        if not self._short:
            return None
        parts = [said, *(tuple(words.split(each)) for each in words.sentences(text))]
        numbers = (self._short[part] for part in parts if part in self._short)
        number = next(numbers, None)
        if number is not None:
            return self._hit(number, NEAR_DUPLICATE, 1.0)
        for known, number in self._short.items():
            if len(known) >= SHORTEST_SENTENCE and any(
                Levenshtein.distance(part, known, score_cutoff=1) == 1 for part in parts
            ):
                return self._hit(number, NEAR_DUPLICATE, 1 - 1 / len(known))
        return None

    def _similar(self, text: str) -> Hit | None:
        own = signature(text)
        near = sorted({number for band in bands(own) for number in self._banded.get(band, ())})
        if not near:
            return None
        alike = similarities(own, self._signatures[near])
        best = int(alike.argmax())
        if alike[best] < THRESHOLD:
            return None
        return self._hit(near[best], NEAR_DUPLICATE, float(alike[best]))

    def _hit(self, number: int, how: str, similarity: float) -> Hit:
        known = self._known[number]
        shown = " ".join(known.text.split())
        shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
        return Hit(known.place, shown, how, round(similarity, 3))


def _readings(text: str) -> list[tuple[str, ...]]:
    """The words of a text, by letters and by spaces where its script has none between words."""
    readings = (tuple(words.split(text)), tuple(words.spaced(text)))
    return list(dict.fromkeys(readings))
