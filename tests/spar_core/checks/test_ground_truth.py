"""Constraints of sets for reinforcement learning as checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spar_core.checks.ground_truth import read_ground_truth

COMMA = ("punctuation:no_comma", "{}")
WORDS = (
    "length_constraints:number_words",
    '{"num_words": 6, "relation": "at least"}',
)


def one(names: list[str], arguments: list[Any]) -> dict[str, Any]:
    return {"instruction_id": names, "kwargs": arguments}


@pytest.mark.parametrize("write", [json.dumps, repr, lambda value: value])
def test_json_python_and_plain_values_are_read_alike(write: Any) -> None:
    kwargs = {"num_words": 6, "relation": "at least", "keyword": None}
    found = read_ground_truth(write([one([COMMA[0], WORDS[0]], [None, kwargs])]))
    assert [(check.id, check.kwargs) for check in found.checks] == [COMMA, WORDS]
    assert found.unread == ()


@pytest.mark.parametrize(
    "value",
    [
        {"instruction_id": COMMA[0], "kwargs": {}},
        {"instruction_id_list": [COMMA[0]], "kwargs": [{}]},
        [one([COMMA[0]], [])],
    ],
)
def test_other_forms_of_the_same(value: Any) -> None:
    assert [(each.id, each.kwargs) for each in read_ground_truth(repr(value)).checks] == [COMMA]


@pytest.mark.parametrize("value", ["42", "x = 5", "", "[", "[1, 2]", None, 7, "[" * 10_000, "{}"])
def test_an_answer_holds_no_constraints(value: Any) -> None:
    assert read_ground_truth(value) == ([], ())


def test_what_is_not_understood_is_named() -> None:
    arguments = [None, {"num_words": 6}, None]
    found = read_ground_truth([one(["count:x", WORDS[0], COMMA[0]], arguments)])
    assert [check.id for check in found.checks] == [COMMA[0]]
    assert found.unread == (
        "no checker for `count:x` of `ground_truth`",
        f"no checker for these arguments of `{WORDS[0]}` of `ground_truth`",
    )
    old = read_ground_truth('{"func_name": "validate_lowercase", "N": null}')
    assert old == ([], ("`ground_truth` with `func_name` is not understood",))
