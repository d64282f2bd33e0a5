"""Repair: several requirements at once, in whatever combination."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from random import Random

import pytest

from spar_core.checks.strict import follows
from spar_core.constraints import go_together
from spar_core.constraints.critique import requirements
from spar_core.constraints.kind import Kind
from spar_core.constraints.marks import CAPITAL_ID, LOWERCASE_ID
from spar_core.constraints.repair import repair
from tests.spar_core.constraints.asked import ORDINARY, SEED, available
from tests.spar_core.constraints.test_kinds import is_english

MOST_WITHOUT = 0.25
"""At most so large a share of repairs may find no way: texts that are too short to be divided, and
answers that have to be shorter than what others add to them."""

Outcome = tuple[Sequence[Kind], str | None]


def mended(kinds: Sequence[Kind], text: str, rng: Random) -> Outcome:
    """A text repaired for kinds; what comes of it passes all checks."""
    checks = [{"id": k.id, "kwargs": json.dumps(dict(k.draw(rng, SEED)))} for k in kinds]
    found = requirements(checks, text, rng)
    made = repair(found, text, rng)
    if text.strip() and all(each.met for each in found):
        assert made == text.strip(), "what meets all is left alone"
    if made is not None:
        assert made.strip()
        assert all(each.met for each in requirements(checks, made, rng)), (checks, text, made)
        has_case = {LOWERCASE_ID, CAPITAL_ID} & {kind.id for kind in kinds}
        assert follows(checks, made) or (has_case and not is_english(made)), (checks, text, made)
    return kinds, made


def together(number: int) -> list[tuple[Kind, ...]]:
    """All combinations of so many kinds that go together."""
    return [
        kinds
        for kinds in combinations(available(), number)
        if all(go_together(one, other) for one, other in combinations(kinds, 2))
    ]


def test_every_pair_of_kinds_is_mended_or_given_up() -> None:
    rng = Random(1)
    outcomes = [mended(kinds, rng.choice(ORDINARY), rng) for kinds in together(2) for _ in "12"]
    never = Counter(tuple(k.id for k in kinds) for kinds, made in outcomes if made is None)
    assert sum(never.values()) < MOST_WITHOUT * len(outcomes), never


def test_triples_of_kinds_are_mended_or_given_up() -> None:
    rng = Random(2)
    drawn = rng.sample(together(3), 200)
    outcomes = [mended(kinds, rng.choice(ORDINARY), rng) for kinds in drawn]
    assert sum(made is None for _, made in outcomes) < MOST_WITHOUT * len(outcomes)


@pytest.mark.parametrize(
    "text", ["", "x", "\n", '"', "Yes, very.", "{", "* a\n\n* b", "½", "😀 😀"]
)
def test_a_strange_text_is_mended_or_given_up(text: str) -> None:
    rng = Random(3)
    for kinds in rng.sample(together(2), 40):
        mended(kinds, text, rng)


def asked(**checks: object) -> list[dict[str, str]]:
    """Checks by the last part of their ids."""
    names = {kind.id.rpartition(":")[2]: kind.id for kind in available()}
    return [{"id": names[name], "kwargs": json.dumps(value)} for name, value in checks.items()]


@pytest.mark.parametrize(
    ("checks", "text", "made"),
    [
        (
            {"no_comma": {}, "english_lowercase": {}, "quotation": {}},
            "One, two. THREE",
            '"one two. three"',
        ),
        (
            {"end_checker": {"end_phrase": "The end."}, "quotation": {}},
            "One two.",
            '"One two. The end."',
        ),
        (
            {"english_capital": {}, "json_format": {}},
            "One\ntwo.",
            '{"ANSWER": "ONE TWO."}',
        ),
        (
            {"forbidden_words": {"forbidden_words": ["well"]}, "no_comma": {}},
            "Well, well, that is it.",
            "That is it.",
        ),
        (
            {"forbidden_words": {"forbidden_words": ["yes"]}},
            "Yes",
            None,
        ),
        (
            {
                "existence": {"keywords": ["blue"]},
                "forbidden_words": {"forbidden_words": ["blue"]},
            },
            "One",
            None,
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_done_last_is_not_undone(
    checks: dict[str, object], text: str, made: str | None
) -> None:
    found = requirements(asked(**checks), text, Random(0))
    assert repair(found, text, Random(1)) == made


def test_what_is_left_stays_missed_and_all_else_is_mended() -> None:
    checks = asked(no_comma={}, english_lowercase={}, quotation={})
    found = requirements(checks, "One, two", Random(0))
    for left in found:
        made = repair(found, "One, two", Random(0), leave=frozenset({left.kind.id}))
        assert made is not None
        met = {each.kind.id: each.met for each in requirements(checks, made, Random(0))}
        assert met == {each["id"]: each["id"] != left.kind.id for each in checks}


def test_the_same_seed_mends_alike() -> None:
    checks = asked(existence={"keywords": ["lamp"]}, postscript={"postscript_marker": "P.S."})
    found = requirements(checks, ORDINARY[0], Random(0))
    made = [repair(found, ORDINARY[0], Random(number)) for number in range(20)]
    assert made == [repair(found, ORDINARY[0], Random(number)) for number in range(20)]
    assert len(set(made)) > 3
