"""What FollowBench's levels add, where that can be counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evaluation.benchmark import Finding
from evaluation.benchmarks.followbench.rules import check
from tests.evaluation.benchmarks.followbench.examples import item

LONG = " ".join(["word"] * 21)
BOLD = "**{}) Soil: You want to give your plant some very good rich soil"


@pytest.mark.parametrize(
    ("category", "source", "n", "met", "missed"),
    [
        (
            *("mixed", "cnn_dailymail", 1),
            "Potter is rich. The actor saves. His films have paid him.",
            [
                "Potter is rich. The actor saves.",
                f"Potter is {'very ' * 13}rich. The actor saves. His films have paid him.",
                "Potter is rich. The star saves. His films have paid him.",
                "Potter is rich. The lavish actor saves. His films have paid him.",
                "Potter is rich. The actor saves. His films paid him.",
            ],
        ),
        (
            *("mixed", "xsum", 1),
            "The operation is clearing towns.",
            [
                "The operation is clearing towns. It rains.",
                f"The operation is clearing {'wet ' * 16}towns.",
                "The operation is clearing Newton Stewart.",
                "The operation clears towns.",
                "The operations are clearing towns.",
            ],
        ),
        (
            *("mixed", "samsum", 1),
            "Kim gets stuff done.",
            [
                "Kim gets stuff done. Tim helps",
                f"Kim gets {'much ' * 13}stuff done.",
                "Kim gets chores done.",
                "Kim gets stuff done, no Procrastination",
                "Kim, Tim get stuff done.",
            ],
        ),
        (
            *("mixed", "gigaword", 1),
            "bomb kills two people in the south today",
            [
                "bomb kills two in the south",
                "bomb kills two people in the south today.",
                "Bomb kills two people in the south today",
                "bomb kills two bus riders in the south",
                "bomb kills two people across the south today",
            ],
        ),
        (
            *("mixed", "arxiv", 1),
            "We edit activations.",
            [
                "We edit activations. It works.",
                f"We edit {'some ' * 18}activations.",
                "They edit activations.",
                "We edit weights.",
                "We edit activations of a transformer.",
            ],
        ),
        (
            *("format", "oasst", 30),
            " ".join(f"{BOLD.format(n)}." for n in "12345"),
            [
                "no marks at all",
                " ".join(f"{BOLD.format(n)}." for n in "1234"),
                " ".join(f"{BOLD.format(n)}.5.too." for n in "12345"),
                " ".join(f"{BOLD.format(n)} and sun and rain and wind." for n in "12345"),
                " ".join(f"{BOLD.format(n)}-ly too." for n in "12345"),
            ],
        ),
    ],
)
def test_level_n_asks_for_n_conditions(
    category: str, source: str, n: int, met: str, missed: Sequence[str]
) -> None:
    for level in range(1, 6):
        asked = item(category, level, source, n=n)
        assert check(asked, met) == [Finding("met", 1.0, None, category)], level
        assert check(asked, missed[level - 1])[0].value == 0.0, level
        for later in missed[level:]:
            assert check(asked, later)[0].value == 1.0, (level, later)


def test_three_paragraphs_of_long_sentences() -> None:
    """Numbers before paragraphs are sentences of a word: levels 4 and 5 cannot be met."""
    three = "\n\n".join([f"{LONG}."] * 3)
    values = [check(item("format", level, n=22), three)[0].value for level in range(1, 6)]
    assert values == [1, 1, 1, 0, 0]
    assert check(item("format", 1, n=22), f"{LONG}\n\n{LONG}")[0].value == 0
    assert check(item("format", 2, n=22), three.replace(".", "!? a! b"))[0].value == 0
    assert check(item("format", 3, n=22), "a.\n\nb.\n\nc.")[0].value == 0
    numbered = "\n\n".join(f"{n}. {LONG}." for n in (1, 2, 3))
    assert check(item("format", 4, n=22), numbered)[0].value == 0
