"""IFEval: that the figures are lm-eval's own, on all prompts."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation.benchmark import BadData, Scored
from evaluation.benchmarks.ifeval import IFEVAL
from evaluation.benchmarks.instructions import METRICS
from evaluation.intervals import interval
from schemas.prompts import Check
from spar_core.checks.library import checkers

BENCH = Path(os.environ.get("SPAR_BENCH_DATA", Path(__file__).parents[4] / "shared" / "bench"))
DATA = BENCH / "ifeval" / "input_data.jsonl"
NLTK_DATA = BENCH / "nltk_data"
OFFICIAL = (
    "prompt_level_strict_acc",
    "prompt_level_loose_acc",
    "inst_level_strict_acc",
    "inst_level_loose_acc",
)
RESPONSES_A_PROMPT = 4

pytestmark = pytest.mark.usefixtures("_library")


@pytest.fixture
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    checkers()  # which asks the network for nothing


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(key: int, *checks: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "key": key,
        "prompt": f"Write text {key}.",
        "instruction_id_list": [name for name, _ in checks],
        "kwargs": [kwargs for _, kwargs in checks],
    }


def values(path: Path, *responses: str) -> list[list[float | None]]:
    """What is found of a response to each row: strict and loose of each instruction in turn."""
    assert IFEVAL.check is not None
    items = IFEVAL.read([path])
    return [
        [finding.value for finding in IFEVAL.check(item, response)]
        for item, response in zip(items, responses, strict=True)
    ]


def test_rows_are_read_with_their_own_arguments(tmp_path: Path) -> None:
    kwargs = {"num_words": 5, "relation": "at least", "letter": None}
    path = write(tmp_path / "x.jsonl", row(1000, ("length_constraints:number_words", kwargs)))
    [item] = IFEVAL.read([path])
    assert (item.key, item.benchmark, item.prompt) == ("1000", "ifeval", "Write text 1000.")
    assert item.checks == [
        Check("length_constraints:number_words", '{"num_words": 5, "relation": "at least"}')
    ]


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([("punctuation:nocomma", {})], "did you mean punctuation:no_comma?"),
        ([("length_constraints:number_words", {"num_words": 5})], "relation is missing"),
        ([("length_constraints:number_words", {"number": 5})], "number"),
        ([("language:response_language", {"language": "xx"})], "xx"),
        ([("keywords:letter_frequency", {"letter": "ab", "let_frequency": 1})], "let_relation"),
        ([], "it has no checks"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(
    tmp_path: Path, checks: list[tuple[str, dict[str, Any]]], said: str
) -> None:
    path = write(tmp_path / "x.jsonl", row(1, ("punctuation:no_comma", {})), row(2, *checks))
    with pytest.raises(BadData) as raised:
        list(IFEVAL.read([path]))
    assert str(raised.value).startswith(f"{path}: row 2: ")
    assert said in str(raised.value)
    assert "take it anew from" in str(raised.value)


def test_a_column_is_missing(tmp_path: Path) -> None:
    bad = row(1, ("punctuation:no_comma", {}))
    del bad["instruction_id_list"]
    with pytest.raises(BadData, match="row 1: no `instruction_id_list`"):
        list(IFEVAL.read([write(tmp_path / "x.jsonl", bad)]))


def test_keywords_are_patterns_as_in_the_published_checkers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", row(1, ("keywords:existence", {"keywords": ["a.c"]})))
    assert values(path, "abc") == [[1.0, 1.0]]


@pytest.mark.parametrize("letter", ["#", "!", "a", "A"])
def test_the_letter_of_the_prompt_is_counted(tmp_path: Path, letter: str) -> None:
    kwargs = {"letter": letter, "let_frequency": 2, "let_relation": "at least"}
    path = write(tmp_path / "x.jsonl", row(1, ("keywords:letter_frequency", kwargs)))
    for _ in range(8):  # the library draws a letter anew each time
        assert values(path, f"12 {letter} {letter}") == [[1.0, 1.0]]
        assert values(path, f"12 {letter}") == [[0.0, 0.0]]


def test_an_empty_response_meets_nothing_and_a_loose_one_may(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *(row(n, ("punctuation:no_comma", {})) for n in range(4)))
    found = values(path, "", " \n", "Well, here:\nIt is.", "a, b")
    assert found == [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def test_a_long_response_is_decided(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", row(1, ("punctuation:no_comma", {})))
    assert values(path, "word " * 20_000) == [[1.0, 1.0]]


def test_missing_data_leave_a_prompt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_nltk_data(monkeypatch, None)
    sentences = (
        "length_constraints:number_sentences",
        {"num_sentences": 1, "relation": "at least"},
    )
    path = write(tmp_path / "x.jsonl", row(1, sentences), row(2, ("punctuation:no_comma", {})))
    assert IFEVAL.check is not None
    scored = [Scored(item, IFEVAL.check(item, "One. Two.")) for item in IFEVAL.read([path])]
    [strict, _] = scored[0].findings
    assert strict.value is None
    assert "python -m nltk.downloader punkt_tab" in strict.critique
    assert {(each.scored, each.items) for each in IFEVAL.figures(scored) if not each.part} == {
        (1, 2)
    }
    warned = [said for said in caplog.messages if "number_sentences" in said]
    assert len(warned) <= 1


def test_the_benchmark_can_be_sent_to_workers() -> None:
    assert pickle.loads(pickle.dumps(IFEVAL)).name == "ifeval"


def use_nltk_data(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    """NLTK's data are in this folder alone, or nowhere."""
    import nltk  # type: ignore[import-not-found, unused-ignore]
    from lm_eval.tasks.ifeval import instructions_util  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(nltk.data, "path", [str(path)] if path else [])
    instructions_util._get_sentence_tokenizer.cache_clear()
    nltk.tokenize._get_punkt_tokenizer.cache_clear()


FILLER = ["the", "river", "carries", "small", "boats", "past", "old", "mills", "every", "morning"]
LANGUAGES = {
    "en": "This is a plain sentence about the weather.",
    "de": "Das ist ein schlichter Satz über das Wetter.",
    "hi": "यह मौसम के बारे में एक सरल वाक्य है।",
    "ru": "Это простое предложение о погоде.",
    "vi": "Đây là một câu đơn giản về thời tiết.",
}


def passing(row: dict[str, Any], rng: random.Random) -> str:
    """A text that meets much of what a prompt asks for."""
    asked = dict(zip(row["instruction_id_list"], row["kwargs"], strict=True))
    given = {key: value for some in row["kwargs"] for key, value in some.items()}
    pieces = [" ".join(rng.choices(FILLER, k=rng.randint(3, 30))) + "."]
    if given.get("relation") == "at least":
        pieces += [" ".join(rng.choices(FILLER, k=given.get("num_words", 0)))]
        pieces += ["It is so."] * given.get("num_sentences", 0)
        pieces += [given.get("keyword", "")] * given.get("frequency", 0)
    pieces += given.get("keywords", [])
    pieces += [given.get("letter", "")] * given.get("let_frequency", 0)
    pieces += ["[name]"] * given.get("num_placeholders", 0)
    pieces += [f"*part {n}*" for n in range(given.get("num_highlights", 0))]
    pieces += ["LOUD"] * given.get("capital_frequency", 0)
    text = " ".join(pieces)
    text += "".join(f"\n* point {n}" for n in range(given.get("num_bullets", 0)))
    for number in range(given.get("num_sections", 0)):
        text += f"\n{given['section_spliter']} {number + 1}\nText."
    if first := given.get("first_word"):
        paragraphs = ["Some text."] * given["num_paragraphs"]
        paragraphs[given["nth_paragraph"] - 1] = f"{first} text"
        text = "\n\n".join(paragraphs)
    elif count := given.get("num_paragraphs"):
        text = "\n***\n".join([text] * count)
    text = LANGUAGES.get(given.get("language", ""), text)
    text = text + "\nMy answer is yes." * ("detectable_format:constrained_response" in asked)
    text = "<<A title>>\n" * ("detectable_format:title" in asked) + text
    text += f"\n{given['postscript_marker']} more" if "postscript_marker" in given else ""
    text = f"{given.get('prompt_to_repeat', '')}\n{text}".strip()
    text = f"{text}\n******\nAnother" if "combination:two_responses" in asked else text
    text = f"{text}\n{given['end_phrase']}" if "end_phrase" in given else text
    text = text.replace(",", "") if "punctuation:no_comma" in asked else text
    text = text.lower() if "change_case:english_lowercase" in asked else text
    text = text.upper() if "change_case:english_capital" in asked else text
    if "detectable_format:json_format" in asked:
        text = f"```json\n{json.dumps({'text': text})}\n```"
    return f'"{text}"' if "startend:quotation" in asked else text


def made_up(row: dict[str, Any], rng: random.Random) -> list[str]:
    """Responses of many kinds to a prompt, the same for the same generator."""
    good = passing(row, rng)
    junk = ("Sure, here it is:", "**Answer**", "", "Of course!")
    others = [
        good + "\nI hope this helps, bye!",
        f"**{good}**",
        *("", " \n ", "*", row["prompt"], json.dumps({"a": [1, 2]}), '"', "." * 40),
        " ".join(rng.choices(FILLER, k=rng.randint(300, 500))).capitalize() + ".",
        "\n".join(f"{mark} {word}" for mark in "*-" for word in rng.choices(FILLER, k=5)),
        "\n\n".join(f"* {word}, {word}!" for word in rng.choices(FILLER, k=4)),
        *LANGUAGES.values(),
        "FIRST LINE, LOUD\n" + " ".join(FILLER) + "\nP.S. last *line*",
        "******".join(rng.choices(FILLER, k=2)) + "\n***\nmore [a] [b]",
        good.replace(" ", "  ").replace("\n", "\n\n"),
        "".join(rng.choices("aZ *\n.,#!\"'[]<>{}-1é漢", k=200)),
    ]
    framed = f"{rng.choice(junk)}\n{good}\n{rng.choice(junk)}"
    return [good, framed, *rng.sample(others, RESPONSES_A_PROMPT - 2)]


def official(row: dict[str, Any], response: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What lm-eval's task says of a response; a letter that it would draw is the prompt's."""
    from lm_eval.tasks.ifeval import instructions, utils  # type: ignore[import-not-found, unused-ignore]

    letters = [some["letter"] for some in row["kwargs"] if some.get("letter")]
    fixed = SimpleNamespace(choice=lambda _: letters[0])
    with monkeypatch.context() as patch:
        patch.setattr(instructions, "random", fixed)
        found: dict[str, Any] = utils.process_results(row, [response])
    return found


@pytest.mark.skipif(not DATA.exists(), reason=f"IFEval's prompts are not in {DATA}")
@pytest.mark.skipif(not NLTK_DATA.exists(), reason=f"NLTK's data are not in {NLTK_DATA}")
def test_the_figures_are_the_official_ones_to_the_last_digit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lm_eval.tasks.ifeval.utils import agg_inst_level_acc

    use_nltk_data(monkeypatch, NLTK_DATA)
    rng = random.Random(0)
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    items = list(IFEVAL.read([DATA]))
    assert [int(item.key) for item in items] == [row["key"] for row in rows]
    assert (len(items), sum(len(item.checks or ()) for item in items)) == (541, 834)
    responses = [made_up(row, rng) for row in rows]
    assert IFEVAL.check is not None
    for number in range(RESPONSES_A_PROMPT):
        scored, expected = [], []
        for item, row, some in zip(items, rows, responses, strict=True):
            findings = IFEVAL.check(item, some[number])
            found = official(row, some[number], monkeypatch)
            for look in ("strict", "loose"):
                ours = [each.value for each in findings if each.metric == look]
                assert ours == found[f"inst_level_{look}_acc"], (row["key"], look, some[number])
            scored.append(Scored(item, findings))
            expected.append(found)
        figures = {(each.metric, each.part): each for each in IFEVAL.figures(scored)}
        four = []
        for metric, name in zip(METRICS, OFFICIAL, strict=True):
            column: Sequence[Any] = [each[name] for each in expected]
            mean = agg_inst_level_acc(column) if "inst" in name else sum(column) / len(column)
            figure = figures[metric, ""]
            assert (figure.scored, figure.items) == (541, 541)
            value = interval(figure.units)
            assert value is not None
            assert value.value == mean
            assert 0 < mean < 1
            four.append(mean)
        average = interval(figures["average", ""].units)
        assert average is not None
        assert average.value == pytest.approx(sum(four) / 4, abs=1e-15)
        print(f"responses {number}:", *(f"{value:.4f}" for value in four))
