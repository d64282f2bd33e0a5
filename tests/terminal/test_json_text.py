"""JSON texts that every reader takes."""

from __future__ import annotations

import json

import pytest

from terminal.json_text import dumps, finite

NAN, INFINITE = float("nan"), float("inf")


def test_numbers_that_are_not_finite_become_null() -> None:
    value = {"loss": NAN, "each": [1.5, -INFINITE, (NAN,)], "said": "NaN", "n": 3}
    assert json.loads(dumps(value)) == {"loss": None, "each": [1.5, None, [None]], "said": "NaN",
                                        "n": 3}  # fmt: skip
    assert dumps({"b": 1, "a": "é"}, sort_keys=True, ensure_ascii=False) == '{"a": "é", "b": 1}'


def test_circles_are_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises((ValueError, RecursionError)):
        dumps(value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a":NaN,"b":-Infinity,"c":[Infinity,1.0]}', '{"a":null,"b":null,"c":[null,1.0]}'),
        ('{"NaN":"is NaN, \\" NaN"}', '{"NaN":"is NaN, \\" NaN"}'),
        ('{"a":"\\\\","b":NaN}', '{"a":"\\\\","b":null}'),
        ('{"a":1}', '{"a":1}'),
    ],
)
def test_texts_of_others_keep_what_stands_in_strings(text: str, wanted: str) -> None:
    assert finite(text) == wanted
