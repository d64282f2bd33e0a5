"""Languages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spar_core.filters.language import language

pytest.importorskip("py3langid", reason="the extra `evolve` is not installed")

BENCH = Path(__file__).parents[4] / "shared/bench"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write a poem about the sea.", "en"),
        ("WRITE A POEM ABOUT THE SEA", "en"),
        ("Schreibe ein Gedicht über das Meer.", "de"),
        ("Escribe un poema sobre el mar.", "es"),
        ("Расскажи мне, что ты знаешь о море.", "ru"),
        ("写一首关于大海的诗", "zh"),
        ("海についての詩を書いてください", "ja"),
    ],
)
def test_a_sentence_is_enough(text: str, expected: str) -> None:
    assert language(text) == expected


def test_latin_words_make_no_latin() -> None:
    assert language("Explain quantum computing.") in ("en", None)


@pytest.mark.parametrize("text", ["", " ", "ok", "Hola", "2 + 2 = ?", "🙂🙂🙂", "\ud800"])
def test_nothing_is_said_of_too_little(text: str) -> None:
    assert language(text) is None


def test_the_beginning_of_a_long_text_decides() -> None:
    assert language("This is a sentence in English. " * 200 + "Und dies nicht. " * 9000) == "en"


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not there")
def test_english_prompts_are_in_english() -> None:
    lines = (BENCH / "ifeval/input_data.jsonl").read_text().splitlines()
    found = [language(json.loads(line)["prompt"]) for line in lines]
    assert set(found) <= {"en", None}
    assert found.count(None) < 3


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not there")
def test_of_many_languages_few_are_left_open() -> None:
    turns = json.loads((BENCH / "seeds/oasst1_qlora_first_turns.json").read_text())
    found = [language(turn) for turn in turns]
    assert found.count(None) < 30
    assert found.count("en") + found.count("es") > 340
    assert len(set(found)) > 14
