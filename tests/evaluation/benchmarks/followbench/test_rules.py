"""FollowBench's rules: which examples they are for, and what they say of known answers."""

from __future__ import annotations

from collections import Counter

import pytest

from evaluation.benchmark import Finding, details
from evaluation.benchmarks.followbench.rules import check
from schemas.items import Item
from tests.evaluation.benchmarks.followbench.examples import TEMPLATE, item


@pytest.mark.parametrize(
    ("category", "source", "target", "met", "missed"),
    [
        ("content", "E2E", "name[A]", "name[A]", "name[A] "),
        ("mixed", "text_editing", "b a", "b a", "a b"),
        ("content", "WIKIEVENTS", "x died\ny died", "y died", "y died\nz died"),
        ("content", "CONLL2003", "['Bonn', 'Rome']", "Rome", "Rom"),
        ("situation", "BBH_logical", "(B)", "Not (A), so (B).", "Not (B), so (A)."),
        ("situation", "BBH_logical", "(B)", "(B)", "B"),
        ("situation", "BBH_time", "02/03/2021", "on 02/03/2021", "from 02/03/2021 to 03/03/2021"),
        ("situation", "gsm_8k", "$18", "$2 and $16 are $18", "$18 less $2"),
        ("situation", "self_made_space", "left", "It is left of it.", "It is right of it."),
        ("example", "xsum", TEMPLATE, "{'bot': 'A, b.'}", "{'bot': 'A\nb.'}"),
        ("example", "squad", TEMPLATE, "{'bot': ''}", "So: {'bot': 'A'}"),
        ("example", "art", "{instruction}\n[A]\n{answer}", "[A]\nyes", "A\nyes"),
    ],
)
def test_a_known_answer_is_compared(
    category: str, source: str, target: str, met: str, missed: str
) -> None:
    asked = item(category, 2, source, target)
    assert check(asked, met) == [Finding("met", 1.0, None, category)]
    assert check(asked, missed) == [Finding("met", 0.0, None, category)]


def test_other_examples_are_for_the_judge() -> None:
    for asked in (item("format", 1, n=23), item("style", 3), item("content", 1, "COGNAC")):
        assert check(asked, "anything") == []


def test_the_published_answers_meet_their_rules(published: list[Item]) -> None:
    ruled = Counter(each.category for each in published if check(each, ""))
    assert ruled == {"content": 60, "situation": 40, "format": 10, "mixed": 40, "example": 200}
    judged = [each for each in published if not check(each, "")]
    assert all(len(details(each)["path"]) == each.level for each in judged)
    for each in published:
        target = details(each)["target"]
        if details(each)["source"] == "CONLL2003":
            target = target.strip("[]").split(",")[0].strip("'\"")
        if each.category == "example":
            target = target.removeprefix("{instruction}\n").replace("{{", "{").replace("}}", "}")
        if target and check(each, ""):
            assert check(each, target)[0].value == 1.0, each.key
