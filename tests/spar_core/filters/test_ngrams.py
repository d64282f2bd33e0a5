"""Runs of words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.filters.ngrams import N, Ngrams, ngrams, share

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def test_hashes_are_the_same_everywhere() -> None:
    assert ngrams(LETTERS[:N]).tolist() == [17169510672555193365]
    assert len(ngrams(LETTERS)) == len(LETTERS) - N + 1
    assert len(ngrams(LETTERS[: N - 1])) == 0


def test_order_and_every_word_count() -> None:
    one = list(LETTERS[:N])
    hashes = {int(ngrams(one)[0]), int(ngrams(one[::-1])[0])}
    hashes |= {int(ngrams([*one[:i], "*", *one[i + 1 :]])[0]) for i in range(N)}
    assert len(hashes) == N + 2


def test_the_text_with_most_runs_is_found() -> None:
    index = Ngrams.of(["xyz", LETTERS[:14], LETTERS[5:]])
    assert index.found(LETTERS[:13]) == 1
    assert index.found(LETTERS) == 2
    assert index.found(LETTERS[:12]) is None
    assert index.found(LETTERS[::-1]) is None
    assert Ngrams.of([]).found(LETTERS) is None


def test_the_share_is_of_the_known_text() -> None:
    assert share(LETTERS, LETTERS[:14]) == 1
    assert share(LETTERS[:14], LETTERS) == pytest.approx(2 / 14)
    assert share(LETTERS, "abc") == 0


@settings(derandomize=True, deadline=None)
@given(st.text("ab", max_size=40), st.text("ab", max_size=40))
def test_a_run_is_found_where_there_is_one(known: str, text: str) -> None:
    common = {known[i : i + N] for i in range(len(known) - N + 1)}
    is_there = any(text[i : i + N] in common for i in range(len(text) - N + 1))
    assert (Ngrams.of([known]).found(text) is not None) == is_there
