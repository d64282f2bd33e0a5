"""FollowBench's figures: what findings come to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evaluation.benchmark import Figure, Finding, Scored
from evaluation.benchmarks.followbench.satisfaction import figures
from evaluation.intervals import interval
from tests.evaluation.benchmarks.followbench.examples import item


def scored(category: str, n: int, met: Sequence[Sequence[float | None]]) -> list[Scored]:
    """A chain, level by level; a level without findings has no answer."""
    return [
        Scored(
            item(category, level, n=n),
            [Finding("met", value, number, category) for number, value in enumerate(values)],
        )
        for level, values in enumerate(met, 1)
    ]


CONTENT = [[1], [1, 0], [1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1, 0]]
FORMAT = [[1], [1, 1], [0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0, 0]]


def values(found: Sequence[Figure]) -> dict[tuple[str, str], object]:
    come = {(each.metric, each.part): interval(each.units) for each in found}
    return {key: pytest.approx(each.value) if each else None for key, each in come.items()}


def test_figures_of_two_chains() -> None:
    found = figures([*scored("content", 1, CONTENT), *scored("format", 2, FORMAT)])
    assert (found[0].metric, found[0].part) == ("hsr", "")
    come = values(found)
    hard = {"content": [1, 0, 1, 0, 0], "format": [1, 1, 0, 1, 0]}
    soft = {"content": [1, 1 / 2, 1, 1 / 2, 4 / 5], "format": [1, 1, 2 / 3, 1, 0]}
    for metric, each in (("hsr", hard), ("ssr", soft)):
        for level in range(1, 6):
            both = (each["content"][level - 1] + each["format"][level - 1]) / 2
            assert come[metric, f"level {level}"] == both
            for category in each:
                part = f"{category}, level {level}"
                assert come[metric, part] == each[category][level - 1]
    assert [come["hsr", part] for part in ("", "content", "format")] == [0.5, 0.4, 0.6]
    assert come["ssr", ""] == (1 + 0.75 + 5 / 6 + 0.75 + 0.4) / 5
    assert [come["ssr", part] for part in ("content", "format")] == [0.76, 11 / 15]
    assert [come["csl", part] for part in ("", "content", "format")] == [1.5, 1, 2]
    assert len(come) == len(found) == 2 * (1 + 5 + 2 + 10) + 3
    assert all(each.scored == each.items for each in found)
    assert {unit.key for unit in found[0].units} == {"content/1", "format/2"}


def test_categories_count_alike_whatever_their_sizes() -> None:
    none = [[0.0] * level for level in range(1, 6)]
    chains = [scored("content", n, none) for n in range(3)] + [scored("format", 1, FORMAT)]
    come = values(figures([each for chain in chains for each in chain]))
    assert come["hsr", "level 2"] == 0.5
    assert come["hsr", ""] == 0.3
    assert come["csl", ""] == 1.0


def test_a_rule_says_all_or_nothing() -> None:
    levels = [
        Scored(item("content", level), [Finding("met", float(level < 3), None, "content")])
        for level in range(1, 6)
    ]
    come = values(figures(levels))
    assert (come["hsr", ""], come["ssr", ""], come["csl", ""]) == (0.4, 0.4, 2)


@pytest.mark.parametrize("missing", [[], [1, None, 1, 1]])
def test_what_is_undecided_is_left_out_and_said(missing: list[float | None]) -> None:
    broken: list[Sequence[float | None]] = [*FORMAT[:3], missing, FORMAT[4]]
    found = figures([*scored("content", 1, CONTENT), *scored("format", 2, broken)])
    by = {(each.metric, each.part): each for each in found}
    come = values(found)
    assert (by["hsr", ""].scored, by["hsr", ""].items) == (9, 10)
    assert come["hsr", "format"] == (1 + 1 + 0 + 0) / 4
    assert come["ssr", "level 4"] == 0.5, "content alone"
    lone = by["ssr", "format, level 4"]
    assert (come["ssr", lone.part], lone.scored, lone.items) == (None, 0, 1)
    assert (come["csl", ""], by["csl", ""].scored, by["csl", ""].items) == (1, 5, 10)
    assert (come["csl", "format"], by["csl", "format"].scored) == (None, 0)


def test_a_part_of_a_chain_has_no_csl() -> None:
    """As when only the first few items are taken."""
    found = figures(scored("content", 1, CONTENT[:3]))
    by = {(each.metric, each.part): each for each in found}
    assert (by["csl", ""].units, by["csl", ""].scored, by["csl", ""].items) == ([], 0, 3)
    assert ("hsr", "level 4") not in by
