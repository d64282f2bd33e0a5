"""What IFEval, IFBench and one's own prompts share: variants, findings, figures, reading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.benchmark import BadData, Finding, Scored
from evaluation.benchmarks.instructions import (
    AVERAGE,
    METRICS,
    check,
    figures,
    read,
    variants,
)
from evaluation.intervals import interval
from schemas.evaluations import Part, Unit
from schemas.items import Item
from schemas.prompts import Check
from spar_core.checks.arguments import BadChecks
from spar_core.checks.undecided import Undecided

REMEDY = "mend it"


def has_word(check: Check, prompt: str, responses: Sequence[str]) -> bool:
    """A checker whose name is the word that must stand in the response; `?` cannot be decided."""
    if check.id == "?":
        raise Undecided("no data")
    return any(check.id in each for each in responses)


def item(key: str, *kinds: str) -> Item:
    return Item(key, "b", key, f"Say {key}.", 0, checks=[Check(kind, "{}") for kind in kinds])


def scored(key: str, kinds: Sequence[str], response: str) -> Scored:
    asked = item(key, *kinds)
    return Scored(asked, check(has_word, asked, response))


def word_checks(row: Any) -> list[Check]:
    if row.get("words") == "bad":
        raise BadChecks("no such word")
    return [Check(word, "{}") for word in row.get("words", ())]


reading = partial(read, "b", ("prompt", "key"), word_checks, REMEDY)


def write(path: Path, *rows: Any) -> Path:
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def row(key: object, prompt: object = None, words: object = ("a",)) -> dict[str, Any]:
    return {"key": key, "prompt": f"Say {key}." if prompt is None else prompt, "words": words}


def test_the_variants_of_a_response() -> None:
    assert variants(" a*\n\n*b*\n c") == [
        " a*\n\n*b*\n c",
        "*b*\n c",
        "a*\n\n*b*",
        "*b*",
        " a\n\nb\n c",
        "b\n c",
        "a\n\nb",
        "b",
    ]
    assert variants("one line") == ["one line", ""]
    assert variants("") == [""]


@settings(max_examples=80, derandomize=True, deadline=None)
@given(response=st.text("a*\n ", max_size=12))
def test_the_variants_are_the_published_eight(response: str) -> None:
    lines = response.split("\n")
    trimmed = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    eight = [response, *trimmed]
    eight += [each.replace("*", "") for each in eight]
    assert set(variants(response)) == set(eight)
    assert variants(response)[0] == response


def test_each_instruction_is_decided_by_itself() -> None:
    """`ax` is met without the first line only, `Sure` by nothing but it."""
    found = check(has_word, item("k", "Sure", "ax", "no"), "Sure\n*a*x*\nBye")
    assert [(each.metric, each.value, each.number, each.constraint) for each in found] == [
        ("strict", 1.0, 0, "Sure"),
        ("loose", 1.0, 0, "Sure"),
        ("strict", 0.0, 1, "ax"),
        ("loose", 1.0, 1, "ax"),
        ("strict", 0.0, 2, "no"),
        ("loose", 0.0, 2, "no"),
    ]


def test_what_cannot_be_decided_says_why() -> None:
    [strict, loose] = check(has_word, item("k", "?"), "x")
    assert strict == Finding("strict", None, 0, "?", "no data")
    assert loose == Finding("loose", None, 0, "?", "no data")


def test_figures_of_prompts_and_of_instructions() -> None:
    some = [
        scored("p1", ["a", "b"], "a b"),  # both met
        scored("p2", ["a", "bb"], "a b*b"),  # the second loosely
        scored("p3", ["a", "a", "c"], "c"),  # one of three
    ]
    found = figures((AVERAGE, *METRICS), some)
    assert [(each.metric, each.part) for each in found] == [
        *((metric, "") for metric in (AVERAGE, *METRICS)),
        *(
            (metric, kind)
            for kind in ("a", "b", "bb", "c")
            for metric in ("instruction_strict", "instruction_loose")
        ),
    ]
    values = {(each.metric, each.part): interval(each.units) for each in found}
    got = {key: value.value for key, value in values.items() if value is not None}
    assert got["prompt_strict", ""] == 1 / 3
    assert got["prompt_loose", ""] == 2 / 3
    assert got["instruction_strict", ""] == 4 / 7
    assert got["instruction_loose", ""] == 5 / 7
    assert got[AVERAGE, ""] == pytest.approx((1 / 3 + 2 / 3 + 4 / 7 + 5 / 7) / 4)
    assert got["instruction_strict", "a"] == 2 / 4
    assert (got["instruction_strict", "bb"], got["instruction_loose", "bb"]) == (0, 1)
    assert {(each.scored, each.items) for each in found if not each.part} == {(3, 3)}
    assert {(each.scored, each.items) for each in found if each.part == "a"} == {(3, 3)}
    assert {(each.scored, each.items) for each in found if each.part == "c"} == {(1, 1)}


def test_units_are_prompts_with_their_parts() -> None:
    [average, *_, of_kind] = figures((AVERAGE, "instruction_loose"), [scored("p", "aab", "a")])
    parts = [Part(0, 1), Part(0, 1), Part(2, 3), Part(2, 3)]
    assert average.units == [Unit("p", parts)]
    assert (of_kind.part, of_kind.units) == ("b", [Unit("p", [Part(0, 1)])])


def test_the_undecided_and_the_unanswered_are_left_out_and_counted() -> None:
    some = [
        scored("p1", ["a"], "a"),
        scored("p2", ["a", "?"], "a"),
        Scored(item("p3", "a"), []),
    ]
    found = figures(("prompt_strict", "instruction_strict"), some)
    assert [[unit.key for unit in each.units] for each in found if each.part != "?"] == [["p1"]] * 3
    assert [(each.part, each.scored, each.items) for each in found] == [
        ("", 1, 3),
        ("", 1, 3),
        ("?", 0, 1),
        ("a", 1, 3),
    ]


def test_figures_of_nothing() -> None:
    [found] = figures(("prompt_loose",), [])
    assert (found.units, found.scored, found.items) == ([], 0, 0)


def test_rows_become_items(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", "\ufeff", row(7, "Say \u2028 x"), "\n", row("b"))
    two = write(tmp_path / "two.jsonl", row(8, words=["a", "b"]))
    items = list(reading([one, two]))
    assert [(each.key, each.prompt, each.position) for each in items] == [
        ("7", "Say \u2028 x", 0),
        ("b", "Say b.", 1),
        ("8", "Say 8.", 2),
    ]
    assert items[2].checks == [Check("a", "{}"), Check("b", "{}")]
    assert {(each.item_id, each.benchmark) for each in items} == {("", "b")}


def test_parquet_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "train-0.parquet"
    pq.write_table(pa.Table.from_pylist([row("x"), row("y")]), path)
    assert [each.key for each in reading([path])] == ["x", "y"]


def test_a_row_without_a_key_is_called_by_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", "\n", {"prompt": "Say it.", "words": ["a"]})
    [found] = read("b", ("prompt",), word_checks, REMEDY, [path])
    assert found.key == "mine:2"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["{"], "row 1: no JSON"),
        (["[" * 100_000], "row 1: no JSON"),
        ([row("a"), "\n7\n"], "row 3: no object"),
        ([{"key": 1, "words": ["a"]}], "row 1: no `prompt`"),
        ([{"prompt": "x", "words": ["a"]}], "row 1: no `key`"),
        ([row([1])], "row 1: `key` is [1], not text or a number"),
        ([row(1, " ")], 'row 1: `prompt` is " ", not text'),
        ([row(1, 2)], "row 1: `prompt` is 2, not text"),
        ([row(1, "\ud800")], "row 1: `prompt` is"),
        ([row(1, words=())], "row 1: it has no checks"),
        ([row(1, words="bad")], "row 1: no such word"),
        ([row(1), row(2, "Say 1.")], "row 2: its `prompt` is that of"),
        ([row(1), row("1", "x")], "row 2: its `key` is that of"),
        ([], "no rows"),
        (["\n \n"], "no rows"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_files_that_are_not_as_they_should_be(tmp_path: Path, rows: Any, said: str) -> None:
    path = write(tmp_path / "some.jsonl", *rows)
    with pytest.raises(BadData) as raised:
        list(reading([path]))
    message = str(raised.value)
    assert message.startswith(str(path)) and message.endswith(f"; {REMEDY}")
    assert said in message
    assert "\n" not in message and len(message) < len(str(path)) * 2 + 300


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.jsonl").write_bytes(b'{"key": "\xff"}')
    (tmp_path / "no.parquet").write_bytes(b"no")
    for name in ("missing.jsonl", "bytes.jsonl", "no.parquet", "missing.parquet"):
        with pytest.raises(BadData, match=r"cannot be read .*; mend it"):
            list(reading([tmp_path / name]))
    with pytest.raises(BadData, match="no file: no rows"):
        list(reading([]))


def test_a_key_may_stand_in_one_of_several_files(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{name}.jsonl", row(1, name)) for name in ("one", "two"))
    with pytest.raises(BadData, match=r"two.jsonl: row 1: its `key` is that of .*one.jsonl: row 1"):
        list(reading([one, two]))
