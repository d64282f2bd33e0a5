"""What is left out of seeds and prompts, and in which order it is looked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spar_core.evolution.sifting import Sifted, SiftSettings, benchmarks, sift
from spar_core.filters.contamination import BadBenchmark

HOW = SiftSettings()
ENGLISH = "Recommend a quiet place to spend a rainy afternoon."
GERMAN = "Bitte erkläre mir, warum im Herbst die Blätter von den Bäumen fallen."


@pytest.fixture(autouse=True)
def _libraries() -> None:
    for name in ("datasketch", "py3langid"):
        pytest.importorskip(name, reason="the extra `evolve` is not installed")


@pytest.mark.parametrize(
    ("text", "cause", "why"),
    [
        (ENGLISH, None, ""),
        ("", "too_short", "0 words, at least 3 are asked for"),
        ("?! ... --", "too_short", "0 words, at least 3 are asked for"),
        ("Hello there", "too_short", "2 words, at least 3 are asked for"),
        ("so " * 501, "too_long", "501 words, at most 500 are asked for"),
        ("Write a python script for me.", "maths_or_code", "mathematics or programming"),
        (GERMAN, "other_language", "it is in de, not en"),
    ],
)
def test_a_text_is_left_out_with_the_cause(text: str, cause: str | None, why: str) -> None:
    found = sift(text, HOW)
    assert (found and found.cause) == cause
    if found:
        assert why in found.why
        assert found.near is None


def test_limits_can_be_set() -> None:
    assert sift(GERMAN, replace(HOW, language="de")) is None
    assert sift(GERMAN, replace(HOW, language="any")) is None
    assert sift(ENGLISH, replace(HOW, language="de")) == Sifted(
        "other_language", "it is in en, not de"
    )
    assert sift("Hello there", replace(HOW, least_words=1, language="any")) is None
    assert sift(ENGLISH, replace(HOW, most_words=8)) == Sifted(
        "too_long", "9 words, at most 8 are asked for"
    )


def test_a_benchmarks_prompt_is_named(tmp_path: Path) -> None:
    file = tmp_path / "benchmark.jsonl"
    file.write_text(json.dumps({"prompt": ENGLISH}) + "\n")
    how = replace(HOW, decontaminate=(str(file),))
    found = sift(ENGLISH.upper(), how)
    assert found is not None
    assert (found.cause, found.near) == ("contaminated", f"{file}:1")
    assert ENGLISH in found.why
    assert sift("Tell me about the river Nile and its people.", how) is None
    assert benchmarks(how.decontaminate) is benchmarks(how.decontaminate), "read once"


def test_a_benchmark_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadBenchmark, match="no such file"):
        sift(ENGLISH, replace(HOW, decontaminate=(str(tmp_path / "nowhere.jsonl"),)))
