"""Near duplicates: signatures, and the query that compares them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spar_core.filters.near_duplicates import THRESHOLD, bands, signature, similarity, twins_sql

pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")

TEN = "Write a short story about a dog that saves cats"
VOCABULARY = [f"word{number}" for number in range(2000)]


def twins(
    texts: Sequence[tuple[str, int, str]], *, memory: str = "1GB", as_query: bool = False
) -> dict[str, str | None]:
    """The twins of texts, each with a key and a position."""
    signed = [signature(text) for _, _, text in texts]
    with duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{memory}'")
        rows = pa.table(
            {
                "key": [key for key, _, _ in texts],
                "position": [position for _, position, _ in texts],
                "signature": pa.array(signed, pa.list_(pa.int64())),
                "bands": pa.array(map(bands, signed), pa.list_(pa.int64())),
            }
        )
        connection.register("texts", rows)
        source = "(select * from texts)" if as_query else "texts"
        query = f"with twins as ({twins_sql(source)}) select key, twin from twins"
        found: list[tuple[str, str | None]] = connection.sql(query).fetchall()
    assert len(found) == len(texts)
    return dict(found)


def test_a_signature_is_the_same_everywhere() -> None:
    one = signature("Write a poem.")
    assert len(one) == 64
    assert all(-(2**63) <= number < 2**63 for number in one)
    assert one[:2] == (-6529864658244159944, 7354648682958547807)
    assert bands(one)[:2] == (62358540365890, 388837883480499)
    assert all(0 <= band < 2**63 for band in bands(one))


@pytest.mark.parametrize("same", ["write A poem", "“Write”\n\ta   poem!!", "Ｗrite a poem."])
def test_case_punctuation_and_space_make_no_difference(same: str) -> None:
    assert signature(same) == signature("Write a poem.")


def test_one_word_of_ten_is_the_same_prompt_again() -> None:
    said = TEN.split()
    for place in range(len(said)):
        for word in ("elephant", ""):
            other = " ".join([*said[:place], word, *said[place + 1 :]])
            assert similarity(signature(TEN), signature(other)) >= THRESHOLD, other
            assert set(bands(signature(TEN))) & set(bands(signature(other))), other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write a poem about cats.", "Write a poem about dogs."),
        ("Explain the theory of gravity.", "Explain the theory of evolution."),
        ("What is the capital of Peru?", "What is the capital of Chile?"),
        ("谁是李白", "谁是杜甫"),
        (TEN, "Cats that a dog saves: about, story, short, a, write"),
        ("", "one"),
    ],
)
def test_a_common_template_is_no_duplicate(one: str, other: str) -> None:
    assert similarity(signature(one), signature(other)) < THRESHOLD


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(3, 60), st.integers(0, 60), st.integers(0, 1 << 30))
def test_similarity_is_near_that_of_the_sets(size: int, common: int, seed: int) -> None:
    drawn = random.Random(seed).sample(VOCABULARY, 2 * size)
    one, other = drawn[:size], drawn[: min(common, size)] + drawn[size : 2 * size - common]
    sets = [{*said, *zip(["", *said], [*said, ""], strict=True)} for said in (one, other)]
    expected = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    estimated = similarity(signature(" ".join(one)), signature(" ".join(other)))
    assert estimated == pytest.approx(expected, abs=0.12)
    assert similarity(signature(" ".join(one)), signature(" ".join(one))) == 1


@pytest.mark.parametrize("as_query", [True, False])
def test_twins_are_earlier_rows(as_query: bool) -> None:
    texts = [
        ("d", 3, TEN),
        ("c", 1, "What is the largest ocean in the world?"),
        ("b", 2, TEN.replace("dog", "wolf")),
        ("a", 2, f"{TEN}!"),
        ("e", 4, "Write a poem about cats."),
        ("f", 5, "Write a poem about dogs."),
        ("g", 6, "..."),
        ("h", 7, "!!!"),
    ]
    expected = {"a": None, "b": "a", "c": None, "d": "a", "e": None, "f": None, "g": None, "h": "g"}
    assert twins(texts, as_query=as_query) == expected
    assert twins(texts[::-1]) == expected


def test_no_rows_have_no_twins() -> None:
    assert twins([]) == {}


def test_twins_are_those_that_comparing_all_with_all_finds() -> None:
    rng = random.Random(7)
    texts = []
    for number in range(600):
        words = rng.choices(VOCABULARY, k=rng.randint(10, 25))
        if number % 3 == 2:
            words = texts[rng.randrange(len(texts))][2].split()
            words[rng.randrange(len(words))] = "changed"
        texts.append((f"{number:04}", number, " ".join(words)))
    found = twins(texts, memory="200MB")
    signed = [signature(text) for _, _, text in texts]
    for number, (key, _, _) in enumerate(texts):
        alike = [i for i in range(number) if similarity(signed[i], signed[number]) >= THRESHOLD]
        assert found[key] == (texts[alike[0]][0] if alike else None)
