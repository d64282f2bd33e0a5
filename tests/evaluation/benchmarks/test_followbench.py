"""FollowBench: what is read, what rules and the judge say, and what the figures come to."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, Figure, Finding, Scored, details
from evaluation.benchmarks.followbench import (
    CATEGORIES,
    FOLLOWBENCH,
    check,
    figures,
    grade,
    question,
    read,
    read_list,
)
from evaluation.intervals import interval
from schemas.items import Item
from spar_core.engine.protocol import ChatRequest, Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import JudgeSettings

DATA = Path(
    os.environ.get("SPAR_BENCH_DATA", Path(__file__).parents[4] / "shared" / "bench")
).joinpath("followbench")
SAMPLING = Sampling(0.0, 1.0, 512)
TEMPLATE = "{instruction}\n{{'bot': '{answer}'}}"


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


def item(category: str, level: int, source: str = "oasst", target: str = "", n: int = 1) -> Item:
    path = [f"step {lower}" for lower in range(level)]
    said = {"source": source, "target": target, "example": n, "path": path}
    return Item(
        *("", "followbench", f"{category}/{n}/{level}", f"step {level}", 0),
        category=category,
        level=level,
        details=json.dumps(said),
    )


def test_levels_1_to_5_are_items_that_know_their_path(tmp_path: Path) -> None:
    paths = write(tmp_path, style=rows("style", 7) + rows("style", 3))
    items = list(read([*reversed(paths)]))
    assert [each.position for each in items] == list(range(7 * 5))
    assert [*dict.fromkeys(each.category for each in items)] == [*CATEGORIES]
    assert all(each.item_id == "" and each.benchmark == FOLLOWBENCH.name for each in items)
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


def test_other_examples_are_for_the_judge() -> None:
    for asked in (item("format", 1, n=23), item("style", 3), item("content", 1, "COGNAC")):
        assert check(asked, "anything") == []


def engine(*texts: str) -> ScriptedEngine:
    return ScriptedEngine(lambda request: texts)


def graded(asked: Item, texts: Sequence[str], quorum: int = 1) -> list[Finding]:
    judging = JudgeSettings(SAMPLING, votes=len(texts), quorum=quorum)
    return asyncio.run(grade(engine(*texts), judging, asked, "My answer.", 5))


def test_the_judge_is_shown_the_path_and_the_answer() -> None:
    asked, judge = item("situation", 3), engine('...\n["YES", "NO", "YES"]')
    found = asyncio.run(grade(judge, JudgeSettings(SAMPLING, 1, 1), asked, "My {answer}.", 5))
    assert [(each.number, each.value, each.constraint) for each in found] == [
        (0, 1.0, "situation"),
        (1, 0.0, "situation"),
        (2, 1.0, "situation"),
    ]
    [request] = judge.requests
    assert (request.n, request.seed, request.sampling) == (1, 5, SAMPLING)
    [message] = request.messages
    assert message == {"role": "user", "content": question(asked, "My {answer}.")}
    text = message["content"]
    steps = ["step 0", "### Step 1\nstep 1", "### Step 2\nstep 2", "### Step 3\nstep 3"]
    places = [text.index(part) for part in [*steps, "My {answer}.", "in their order, 3 in all"]]
    assert places == sorted(places)
    assert "situation constraint (" in text
    assert [each.prompt_tokens for each in found] == [len(text) // 4, 0, 0]
    assert [each.completion_tokens > 0 for each in found] == [True, False, False]


def test_a_path_without_a_start_says_so() -> None:
    asked = item("content", 1, "COGNAC")
    bare = Item(*("", "followbench", "content/9/1", "List."), 0, details='{"path": [""]}', level=1)
    assert "There is none" in question(bare, "x")
    assert "There is none" not in question(asked, "x")


def test_what_a_rule_decides_is_not_asked() -> None:
    asked = item("content", 1, "E2E", "name[A]")

    def script(request: ChatRequest) -> list[str]:
        raise AssertionError

    judging = JudgeSettings(SAMPLING)
    assert asyncio.run(grade(ScriptedEngine(script), judging, asked, "name[A]", 1)) == []


def test_each_constraint_has_its_own_majority() -> None:
    texts = ["a\n['YES', 'NO']", "b\n['YES', 'YES']", "c\n['NO', 'NO']"]
    first, second = graded(item("style", 2), texts, quorum=3)
    assert (first.value, first.critique) == (1.0, texts[0])
    assert (second.value, second.critique) == (0.0, texts[0])


def test_a_tie_is_undecided() -> None:
    first, second = graded(item("style", 2), ['["YES", "NO"]', '["NO", "NO"]'], quorum=2)
    assert (first.value, first.critique) == (None, 'tie: ["NO", "NO"]')
    assert second.value == 0.0


def test_an_unreadable_judgement_is_undecided() -> None:
    found = graded(item("style", 2), ["All is met."])
    assert [(each.value, each.critique) for each in found] == [(None, "All is met.")] * 2


def test_too_few_readable_votes_decide_nothing() -> None:
    texts = ['["YES"]', "hm", '["YES"]']
    assert graded(item("style", 1), texts, quorum=2)[0].value == 1.0
    [found] = graded(item("style", 1), texts, quorum=3)
    assert (found.value, found.critique) == (None, "hm")
    [found] = graded(item("style", 1), texts[:1], quorum=3)
    assert (found.value, found.critique) == (None, 'no quorum: ["YES"]')


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ('1. met\n["YES", "NO"]', 2, ("Yes", "No")),
        ("```json\n['NO']\n```\n", 1, ("No",)),
        ("[YES,NO]", 2, ("Yes", "No")),
        ('["YES", "NO"]', 3, None),
        ('["YES", "NO"]\nThat is all.', 2, None),
        ('So: ["YES"]', 1, None),
        ('["YES", "PARTIAL"]', 2, None),
        ('["YES", "yes"]', 2, None),
        ("YES", 1, None),
        ("[]", 1, None),
        ("", 1, None),
    ],
)
def test_only_a_list_in_the_last_line_is_read(text: str, count: int, said: object) -> None:
    assert read_list(text, count) == said


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


def test_the_published_files() -> None:
    if not DATA.is_dir():
        pytest.skip(f"FollowBench's files are not in {DATA} (SPAR_BENCH_DATA names their parent)")
    items = list(read(sorted(DATA.glob(FOLLOWBENCH.files[0]))))
    chains = {"content": 25, "situation": 22, "style": 30, "format": 30, "mixed": 17, "example": 40}
    assert Counter((each.category, each.level) for each in items) == {
        (category, level): count for category, count in chains.items() for level in range(1, 6)
    }
    assert len({each.key for each in items}) == len(items) == 820
    ruled = Counter(each.category for each in items if check(each, ""))
    assert ruled == {"content": 60, "situation": 40, "format": 10, "mixed": 40, "example": 200}
    assert all(len(details(each)["path"]) == each.level for each in items if not check(each, ""))
    for each in items:
        target = details(each)["target"]
        if details(each)["source"] == "CONLL2003":
            target = target.strip("[]").split(",")[0].strip("'\"")
        if each.category == "example":
            target = target.removeprefix("{instruction}\n").replace("{{", "{").replace("}}", "}")
        if target and check(each, ""):
            assert check(each, target)[0].value == 1.0, each.key
