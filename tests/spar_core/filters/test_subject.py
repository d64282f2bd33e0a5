"""Subjects: what is about mathematics or programming."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from spar_core.filters.subject import is_maths_or_code

BENCH = Path(__file__).parents[4] / "shared/bench"


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that sorts a list.",
        "Fix this:\n```\nfor i in range(3):\n    print(i)\n```",
        "def area(r):\n    return 3 * r",
        "What does `foo()` return?",
        "Explain C++ templates.",
        "How do I sort an array in rust?",
        "Write a code that prints the date.",
        "select name from users where age over thirty",
        "Implementa el algoritmo `bubble sort` en C#.",
        "Solve the equation for x.",
        "Haz la siguiente operación: 2*3+5-9",
        "What is 12 - 7?",
        "Compute the derivative of $x^2$.",
        "Find the area of a circle with a radius of 3 cm.",
        "Prove Fermat's Last Theorem.",
        "Suppose I have 12 eggs. I drop two. How many eggs do I have left?",
        "A pen costs $3 and a book twice as much. What is the total price? Answer in verse.",
    ],
)
def test_mathematics_and_programming_are_found(text: str) -> None:
    assert is_maths_or_code(text)


@pytest.mark.parametrize(
    "text",
    [
        "Write a poem about the sea.",
        "Describe the dress code of a wedding in 1920-1930.",
        "Write a company's code of conduct.",
        "How many days is it until Christmas? Use at least 3 paragraphs and 2 lists.",
        "Which is better, 24/7 or 9-5? Give me 5 reasons in 300 words.",
        "Wrap your answer in JSON:\n```JSON\n{\n...\n}\n```",
        "Highlight at least 3 parts with *asterisks*. Write SECTION 1, SECTION 2 and so on.",
        "Rewrite the script of a movie for kids (2 pages), with three or more scenes.",
        "What is the difference between a 2-stroke and a 4-stroke motor?",
        "What was the role of the two Germanies from 1949 to 1990?",
        "",
    ],
)
def test_ordinary_prompts_are_kept(text: str) -> None:
    assert not is_maths_or_code(text)


@pytest.mark.parametrize(
    "piece", ["select ", "1,", "1 - ", "```\n", ";\n", "$ ^", "what is ", "x'"]
)
def test_no_text_takes_long(piece: str) -> None:
    began = time.process_time()
    is_maths_or_code(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 1


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not there")
def test_benchmarks_of_both_are_found() -> None:
    lines = (BENCH / "general/gsm8k_test.jsonl").read_text().splitlines()
    maths = [is_maths_or_code(json.loads(line)["question"]) for line in lines]
    assert sum(maths) / len(maths) > 0.95
    with gzip.open(BENCH / "general/HumanEval.jsonl.gz", "rt") as file:
        assert all(is_maths_or_code(json.loads(line)["prompt"]) for line in file)


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not there")
def test_of_ordinary_prompts_few_are_left_out() -> None:
    lines = (BENCH / "ifeval/input_data.jsonl").read_text().splitlines()
    found = [is_maths_or_code(json.loads(line)["prompt"]) for line in lines]
    assert sum(found) / len(found) < 0.05
