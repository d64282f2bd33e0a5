"""Old and new answers compared by a judge: both orders, ties, and what biases it."""

from __future__ import annotations

import asyncio

import pytest

from evaluation.benchmark import Figure, Finding, Scored
from evaluation.benchmarks.versus import VERSUS, read_verdict
from evaluation.intervals import interval
from schemas.items import Item
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import JudgeSettings

SETTINGS = JudgeSettings(sampling=Sampling(temperature=1.0, top_p=0.9, max_tokens=64))


def item(key: str = "k", old: str = "old") -> Item:
    return Item(f"id-{key}", "versus", key, "Say it.", 0, given=old)


def judged(script: object, old: str = "old", new: str = "a new one") -> list[Finding]:
    engine = ScriptedEngine(script)  # type: ignore[arg-type]
    assert VERSUS.grade is not None
    found = asyncio.run(VERSUS.grade(engine, SETTINGS, item(old=old), new, 7))
    assert all(request.sampling.temperature == 0 for request in engine.requests)
    return found


def scored(*marks: tuple[float | None, float | None, float]) -> list[Scored]:
    return [
        Scored(
            item(str(number)),
            [
                Finding("preferred", first, 0),
                Finding("preferred", second, 1),
                Finding("longer", longer),
            ],
        )
        for number, (first, second, longer) in enumerate(marks)
    ]


def values(some: list[Scored]) -> dict[str, float]:
    figures: list[Figure] = VERSUS.figures(some)
    found = {each.metric: interval(each.units) for each in figures}
    return {name: value.value for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Both are fine.\nBetter answer: A", 0.0),
        ("**Better answer:** B", 1.0),
        ("Better answer: [[tie]]", 0.5),
        ("better answer: answer b.", 1.0),
        ("Better answer: A\nNo:\nBetter answer: B", 1.0),
        ("A is better", None),
        ("Better answer: <A, B or tie>", None),
        ("Better answer: A or B", None),
    ],
)
def test_the_last_verdict_is_read(text: str, value: float | None) -> None:
    assert read_verdict(text) == value


def test_both_orders_are_asked_for_and_speak_of_the_new_answer() -> None:
    def prefers_new(request: ChatRequest) -> list[str]:
        text = str(request.messages[0]["content"])
        first = text.index("a new one") < text.index("\nold\n")
        return [f"Better answer: {'A' if first else 'B'}"]

    found = judged(prefers_new)
    assert [(each.metric, each.value) for each in found] == [
        ("preferred", 1.0),
        ("preferred", 1.0),
        ("longer", 1.0),
    ]
    assert [each.value for each in judged(lambda _: ["Better answer: A"])][:2] == [0.0, 1.0]
    assert [each.value for each in judged(lambda _: ["tie, I think"])][:2] == [None, None]


def test_equal_answers_are_a_tie_without_a_question() -> None:
    found = judged(lambda _: pytest.fail("nobody is asked"), new="old")
    assert [each.value for each in found] == [0.5, 0.5]


def test_ties_count_half_and_a_judge_of_places_finds_nothing() -> None:
    found = values(scored((1, 1, 1), (0.5, 0.5, 1), (0, 0, 1), (0, 1, 1)))
    assert found["win_rate"] == 0.5
    assert values(scored(*[(0.0, 1.0, 1.0)] * 4)) == {
        "win_rate": 0.5,
        "prefers_first": 1.0,
        "prefers_longer": 0.5,
    }


def test_what_cannot_be_read_is_not_scored() -> None:
    figure = VERSUS.figures(scored((1, None, 1), (1, 1, 1)))[0]
    assert (figure.scored, figure.items) == (1, 2)


def test_length_is_controlled_for() -> None:
    """New answers win where they are longer, and half of the time else: the rates count alike."""
    longer = [(1.0, 1.0, 1.0)] * 30
    shorter = [(1.0, 1.0, -1.0), (0.0, 0.0, -1.0)] * 5
    found = values(scored(*longer, *shorter))
    assert found["win_rate"] == 35 / 40
    assert found["win_rate_length_controlled"] == (1 + 0.5) / 2
    assert found["prefers_longer"] == 35 / 40
    few = values(scored(*longer, *shorter[:4]))
    assert "win_rate_length_controlled" not in few, "four shorter answers are too few"
