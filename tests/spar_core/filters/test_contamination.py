"""Contamination: planted copies are found, ordinary prompts are not."""

from __future__ import annotations

import json
import pickle
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spar_core.filters import words
from spar_core.filters.contamination import SHORTEST_SENTENCE, BadBenchmark, Contamination

pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")

BENCH = Path(__file__).parents[4] / "shared/bench"
BENCHMARKS = ("ifeval/input_data.jsonl", "ifbench/IFBench_test.jsonl", "followbench/*.json")

LONG = (
    "I am planning a trip to Japan, and I would like thee to write an itinerary for my journey in "
    "a Shakespearean style. You are not allowed to use any commas in your response."
)
MIDDLE = "Write a limerick about a customer in a Shakespearean style, please, with two jokes."
SHORT = "Explain superconductors like I'm five."
TINY = "Please generate sentences."
CHINESE = 'Translate "今天天气很好" for me, without "heute".'
CONSTRAINTS = ("Use at most 90 words.", "End with a question.", 'Say "lantern" twice.')


def index(*prompts: str) -> Contamination:
    return Contamination(("bench.jsonl", prompt) for prompt in prompts)


def placed(copy: str) -> Iterator[str]:
    """A copy alone, and with three constraints after it, before it and around it."""
    first, second, third = CONSTRAINTS
    yield copy
    yield f"{copy} {first} {second} {third}"
    yield f"{first} {second} {third} {copy}"
    yield f"{first}\n\n{copy}\n{second} {third}"


def edited(prompt: str, places: int, rng: random.Random) -> Iterator[str]:
    """A prompt with one word changed, left out or put in, in so many places."""
    found = list(re.finditer(r"\S+", prompt))
    for word in rng.sample(found, min(places, len(found))):
        start, end = word.span()
        yield f"{prompt[:start]}elephant{prompt[end:]}"
        yield prompt[:start] + prompt[end:]
        yield f"{prompt[:start]}elephant {prompt[start:]}"


@pytest.mark.parametrize("prompt", [LONG, MIDDLE, SHORT, CHINESE])
def test_a_copy_with_a_word_changed_is_found_anywhere(prompt: str) -> None:
    known = index(TINY, prompt)
    rng = random.Random(1)
    for copy in (prompt, prompt.upper(), *edited(prompt, 99, rng)):
        for text in placed(copy):
            hit = known.found(text)
            assert hit, text
            assert hit.place == "bench.jsonl"
            assert hit.similarity > 0.3
            assert prompt.startswith(hit.text.rstrip("…"))


def test_a_hit_says_how() -> None:
    known = index(LONG, MIDDLE, SHORT, TINY)
    found = [known.found(text) for text in (LONG, f"{SHORT} Now.", TINY)]
    assert [(hit.how, hit.similarity) for hit in found if hit] == [
        ("13-gram", 1.0),
        ("near_duplicate", 1.0),
        ("near_duplicate", 1.0),
    ]
    changed = known.found("Explain magnets like I'm five, in verse.")
    assert changed and (changed.how, changed.similarity) == ("near_duplicate", 0.8)
    loose = known.found(MIDDLE.replace(" please, with two", " with two, please,"))
    assert loose and loose.how == "near_duplicate" and loose.similarity < 0.9
    long = index(f"{LONG} {MIDDLE} {LONG}").found(LONG)
    assert long and len(long.text) == 160 and long.text.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        "Please generate sentences about cats.",
        "Generate sentences, please.",
        "Explain how magnets work as if I were five.",
        "Write a limerick about a customer in a modern style, and then an ode to her.",
        "",
    ],
)
def test_what_only_sounds_alike_is_not_found(text: str) -> None:
    assert index(LONG, MIDDLE, SHORT, TINY).found(text) is None


def test_a_prompt_of_few_words_is_found_as_a_sentence() -> None:
    known = index(TINY)
    for text in ("please, generate sentences", f"Hello there. {TINY} Thanks.", f"So:\n{TINY}"):
        assert known.found(text), text


def test_equal_prompts_are_known_once_and_empty_ones_not() -> None:
    assert len(index(SHORT, SHORT.upper(), "", "...")) == 1
    assert index().found(LONG) is None


def test_a_pickled_one_finds_the_same() -> None:
    known = index(LONG, MIDDLE, SHORT, TINY)
    again = pickle.loads(pickle.dumps(known))
    for text in (LONG, f"{MIDDLE} Now.", SHORT, TINY, "Nothing of the kind."):
        assert again.found(text) == known.found(text)


def test_files_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"prompt": LONG}))
    hit = Contamination.read([str(path)]).found(LONG)
    assert hit and hit.place == f"{path}:1"
    path.write_text("{}")
    with pytest.raises(BadBenchmark):
        Contamination.read([str(path)])


@pytest.fixture(scope="module")
def benchmarks() -> Contamination:
    if not BENCH.exists():
        pytest.skip("the benchmarks are not there")
    return Contamination.read([str(BENCH / files) for files in BENCHMARKS])


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_no_prompt_of_a_benchmark_survives(benchmarks: Contamination, every: int) -> None:
    rng = random.Random(3)
    prompts = [known.text for known in benchmarks._known]
    assert len(prompts) > 1700
    for prompt in prompts[::every]:
        count = words.words(prompt)
        copies = [prompt] if count < SHORTEST_SENTENCE else [prompt, *edited(prompt, 6, rng)]
        for copy in copies:
            for text in placed(copy) if copy is prompt else [rng.choice([*placed(copy)])]:
                assert benchmarks.found(text), text


def test_ordinary_prompts_are_not_contaminated(benchmarks: Contamination) -> None:
    for path in sorted((BENCH / "seeds").glob("self_instruct*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            for text in (
                row["instruction"],
                f"{row['instruction']}\n{row['instances'][0]['input']}",
            ):
                assert benchmarks.found(text) is None


def test_what_is_found_among_real_questions_is_a_benchmarks(benchmarks: Contamination) -> None:
    """FollowBench took some of its questions from this very collection."""
    turns = json.loads((BENCH / "seeds/oasst1_qlora_first_turns.json").read_text())
    hits = [hit for hit in map(benchmarks.found, turns) if hit]
    assert len(hits) == 24
    assert {hit.similarity for hit in hits} == {1.0}
