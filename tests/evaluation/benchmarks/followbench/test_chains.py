"""FollowBench's files: what is read, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, details
from evaluation.benchmarks.followbench.chains import CATEGORIES, NAME, read
from schemas.items import Item
from tests.evaluation.benchmarks.followbench.examples import TEMPLATE


def rows(category: str, example: int = 1) -> list[dict[str, Any]]:
    """A chain of a category, as its file has it; examples have no level 0."""
    said = "content, style" if category == "mixed" else category
    return [
        {
            "example_id": example,
            "category": said,
            "source": "oasst",
            "level": level,
            "instruction": f"{category} {example}: {level} constraints",
            "target": TEMPLATE if category == "example" else "",
        }
        for level in range(category == "example", 6)
    ]


def write(folder: Path, **changed: Any) -> list[Path]:
    """The six files, those named with other content; None leaves a file out."""
    held = {category: rows(category) for category in CATEGORIES} | changed
    paths = []
    for category, content in held.items():
        if content is not None:
            path = folder / f"{category}_constraints.json"
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    return paths


def test_levels_1_to_5_are_items_that_know_their_path(tmp_path: Path) -> None:
    paths = write(tmp_path, style=rows("style", 7) + rows("style", 3))
    items = list(read([*reversed(paths)]))
    assert [each.position for each in items] == list(range(7 * 5))
    assert [*dict.fromkeys(each.category for each in items)] == [*CATEGORIES]
    assert all(each.item_id == "" and each.benchmark == NAME for each in items)
    first = next(each for each in items if each.category == "style")
    assert (first.key, first.level) == ("style/7/1", 1), "in the order of the file"
    last = next(each for each in items if each.key == "style/3/5")
    assert last.prompt == "style 3: 5 constraints"
    assert details(last)["path"] == [f"style 3: {level} constraints" for level in range(5)]


def test_levels_need_not_stand_in_order(tmp_path: Path) -> None:
    items = list(read(write(tmp_path, format=rows("format")[::-1])))
    found = {each.level: details(each)["path"] for each in items if each.category == "format"}
    assert list(found) == [5, 4, 3, 2, 1]
    assert found[2] == ["format 1: 0 constraints", "format 1: 1 constraints"]


def changed(kind: str, number: int, /, **fields: Any) -> list[dict[str, Any]]:
    some = rows(kind)
    some[number] |= fields
    return some


@pytest.mark.parametrize(
    ("category", "content", "says"),
    [
        ("style", changed("style", 2, level=6), "row 3: level 6 is not 0 to 5"),
        ("style", changed("style", 2, level=True), "row 3: `level` is true"),
        ("style", changed("style", 2, level=1), "row 3: example 1 has level 1 twice"),
        ("style", rows("style") * 2, "row 7: example 1 has level 0 twice"),
        ("style", rows("style")[1:], "example 1 lacks level 0"),
        ("example", rows("example")[::2], "example 1 lacks level 2, 4"),
        ("style", changed("style", 1, category="tone"), "row 2: no category tone in style"),
        ("style", changed("style", 1, category="format"), "row 2: no category format"),
        ("mixed", changed("mixed", 1, category="format, tone"), "row 2: no category format, tone"),
        ("style", changed("style", 1, instruction=" "), "row 2: `instruction` is empty"),
        ("style", changed("style", 1, target=None), "row 2: `target` is null"),
        ("style", changed("style", 4, example_id="1"), 'row 5: `example_id` is "1"'),
        ("example", changed("example", 0, target="BOT:"), "row 1: `target` has no {answer}"),
        ("content", changed("content", 3, source="CONLL2003"), "row 4: `target` is no list"),
        ("style", [*rows("style"), 3], "row 7: no object"),
        ("style", {"level": 1}, "holds no list of rows"),
        ("style", [], "holds no list of rows"),
        ("style", "[", "cannot be read as JSON"),
        ("style", None, "style_constraints.json is missing"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, category: str, content: Any, says: str) -> None:
    with pytest.raises(BadData) as refused:
        list(read(write(tmp_path, **{category: content})))
    message = str(refused.value)
    assert says in message
    assert message.endswith("take it anew from data/ of github.com/YJiangcm/FollowBench")
    assert f"{category}_constraints.json" in message
    assert "\n" not in message


def test_a_file_that_is_none_of_the_six_is_refused(tmp_path: Path) -> None:
    paths = write(tmp_path)
    with pytest.raises(BadData, match=r"tone_constraints\.json: no category tone; they are cont"):
        list(read([*paths, tmp_path / "tone_constraints.json"]))
    with pytest.raises(BadData, match="is style too; give one of them"):
        list(read([*paths, tmp_path / "data" / "style_constraints.json"]))


def test_the_published_files(published: list[Item]) -> None:
    chains = {"content": 25, "situation": 22, "style": 30, "format": 30, "mixed": 17, "example": 40}
    assert Counter((each.category, each.level) for each in published) == {
        (category, level): count for category, count in chains.items() for level in range(1, 6)
    }
    assert len({each.key for each in published}) == len(published) == 820
