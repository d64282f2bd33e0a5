"""The writer that is a program."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from spar_core.checks.reading import read_checks
from spar_core.checks.strict import follows
from spar_core.constraints import KINDS
from spar_core.evolution.evolved import Evolved
from spar_core.evolution.rules import evolve

SEED = "Describe how a clock works"
ALL = [name for name, kind in KINDS.items() if not kind.data]


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


def test_a_prompt_states_the_constraints_that_its_checks_check() -> None:
    seen = set()
    for draws in range(100):
        evolved = evolve(SEED, ALL, 3, draws)
        assert evolved == evolve(SEED, ALL, 3, draws)
        assert evolved.prompt == f"{SEED}. {' '.join(evolved.constraints)}"
        assert {each.id for each in evolved.checks} == {evolved.main, *evolved.further}
        assert read_checks({"checks": [asdict(each) for each in evolved.checks]}) == [
            *evolved.checks
        ], "as the input would have them"
        assert follows([asdict(each) for each in evolved.checks], "x") in (True, False)
        assert (evolved.verdict, evolved.dropped, evolved.why) == ("consistent", None, None)
        assert evolved.prompt_tokens == evolved.completion_tokens == 0
        seen.add(evolved.main)
    assert len(seen) > len(ALL) / 2


def test_checks_stand_in_the_order_of_the_constraints_length_last() -> None:
    for draws in range(40):
        evolved = evolve(SEED, ALL, 3, draws)
        for text, each in zip(evolved.constraints, evolved.checks, strict=True):
            values = json.loads(each.kwargs).values()
            shown = [v for v in values if isinstance(v, str) and v not in ("less than", "at least")]
            assert all(value in text for value in shown)
        types = [KINDS[each.id].type == "length" for each in evolved.checks]
        assert types == sorted(types)


def test_only_the_kinds_that_are_given_are_drawn() -> None:
    kinds = ["punctuation:no_comma", "startend:quotation"]
    for draws in range(9):
        evolved = evolve(SEED, kinds, 3, draws)
        assert sorted([evolved.main or "", *evolved.further]) == kinds


def test_a_seed_that_every_kind_contradicts_is_dropped() -> None:
    kinds = ["punctuation:no_comma", "startend:quotation"]
    seed = "Make a list of quotes."
    evolved = evolve(seed, kinds, 3, 1)
    assert sorted(evolved.refused) == kinds
    assert evolved == Evolved(
        refused=evolved.refused,
        dropped="contradictory",
        why="every kind of constraint contradicts the seed",
    )
    assert evolve(SEED, [], 3, 1).dropped == "contradictory"


@pytest.mark.parametrize(
    "seed",
    ["{a} {0} {prompt_to_repeat} %s \\1", "[[start]] x [[end]]", "tell " * 20_000, "😀\u202e\x00",
     "One.\nTwo: {keywords}"],
    ids=lambda seed: ascii(seed[:20]),
)  # fmt: skip
def test_a_hostile_seed_is_kept_as_it_is(seed: str) -> None:
    for draws in range(20):
        evolved = evolve(seed, ALL, 3, draws)
        assert evolved.prompt
        assert evolved.prompt.startswith(seed.strip())
        assert all(json.loads(each.kwargs) is not None for each in evolved.checks)
