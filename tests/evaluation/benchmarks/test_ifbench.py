"""IFBench: that its instructions are decided as by the checkers that lighteval keeps."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import random
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation.benchmark import BadData, Finding, Scored
from evaluation.benchmarks.ifbench import IFBENCH, LIGHTEVAL
from schemas.items import Item
from schemas.prompts import Check
from spar_core.checks.library import NoChecker, checkers

BENCH = Path(os.environ.get("SPAR_BENCH_DATA", Path(__file__).parents[4] / "shared" / "bench"))
DATA = BENCH / "ifbench" / "IFBench_test.jsonl"
NLTK_DATA = BENCH / "nltk_data"


@pytest.fixture
def _lighteval() -> None:
    for name in ("lighteval", *LIGHTEVAL.needs):
        pytest.importorskip(name, reason=f"IFBench's checkers are not installed: no {name}")


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {
        "key": kind,
        "prompt": f"Write of {kind}.",
        "instruction_id_list": [kind],
        "kwargs": [kwargs],
    }


def item(kind: str, **kwargs: Any) -> Item:
    return Item(kind, "ifbench", kind, "Write.", 0, checks=[Check(kind, json.dumps(kwargs))])


def found(kind: str, response: str, **kwargs: Any) -> list[float | None]:
    """Strict and loose."""
    assert IFBENCH.check is not None
    return [finding.value for finding in IFBENCH.check(item(kind, **kwargs), response)]


def use_nltk_data(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    import nltk  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(nltk.data, "path", [str(path) for path in paths])
    nltk.tokenize._get_punkt_tokenizer.cache_clear()


def test_without_the_checkers_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lighteval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lighteval", None)
    checkers.cache_clear()
    path = write(tmp_path / "x.jsonl", row("format:no_whitespace"))
    for ask in (
        lambda: list(IFBENCH.read([path])),
        lambda: found("format:no_whitespace", "x"),
    ):
        with pytest.raises(NoChecker) as raised:
            ask()
        assert "pip install --no-deps 'lighteval>=0.13,<0.14'" in str(raised.value)
        assert "\n" not in str(raised.value)
    checkers.cache_clear()


@pytest.mark.usefixtures("_lighteval")
def test_rows_are_read_with_their_own_arguments(tmp_path: Path) -> None:
    asked = row("count:unique_word_count", N=3.0, keyword=None)
    [read] = IFBENCH.read([write(tmp_path / "x.jsonl", asked)])
    assert read.checks == [Check("count:unique_word_count", '{"N": 3.0}')]
    assert (read.key, read.benchmark) == ("count:unique_word_count", "ifbench")


@pytest.mark.usefixtures("_lighteval")
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row("punctuation:no_comma"), "no checker"),
        (row("format:no_whitespaces"), "did you mean format:no_whitespace?"),
        (row("count:unique_word_count"), "N is missing"),
        (row("repeat:repeat_change"), "prompt_to_repeat must be set"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(
    tmp_path: Path, bad: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "x.jsonl", bad)
    with pytest.raises(BadData) as raised:
        list(IFBENCH.read([path]))
    assert str(raised.value).startswith(f"{path}: row 1: ")
    assert said in str(raised.value)


@pytest.mark.usefixtures("_lighteval")
def test_a_span_may_begin_at_the_first_word() -> None:
    """The library takes index 0 for none and draws one."""
    span = {"prompt_to_repeat": "one two three four five six", "n_start": 0, "n_end": 2}
    for _ in range(8):
        assert found("repeat:repeat_span", "One two", **span) == [1.0, 1.0]
        assert found("repeat:repeat_span", "two", **span) == [0.0, 0.0]


@pytest.mark.usefixtures("_lighteval")
def test_strict_and_loose() -> None:
    assert found("format:no_whitespace", "whole") == [1.0, 1.0]
    assert found("format:no_whitespace", "Here:\nwhole") == [0.0, 1.0]
    assert found("format:no_whitespace", "not whole") == [0.0, 0.0]
    assert found("count:numbers", "1 and 22", N=2.0) == [1.0, 1.0]


@pytest.mark.usefixtures("_lighteval")
def test_what_the_checkers_stumble_over_is_undecided() -> None:
    assert IFBENCH.check is not None
    [strict, loose] = IFBENCH.check(
        item("words:paragraph_last_first"), "go on and go\n---\nit is it"
    )
    assert (strict.value, strict.critique) == (None, "IndexError")
    assert loose.value is None


@pytest.mark.usefixtures("_lighteval")
def test_missing_data_are_named_and_the_network_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nltk

    def refuse(*_: object, **__: object) -> bool:
        raise AssertionError("asked the network")

    monkeypatch.setattr(nltk, "download", refuse)
    use_nltk_data(monkeypatch)
    monkeypatch.setattr(nltk.corpus, "stopwords", nltk.corpus.util.LazyCorpusLoader(
        "stopwords", nltk.corpus.reader.WordListCorpusReader, r"(?!README|\.).*"))  # fmt: skip
    assert IFBENCH.check is not None
    for kind, kwargs, data in (
        ("ratio:stop_words", {"percentage": 10.0}, "stopwords"),
        ("format:title_case", {}, "punkt_tab"),
    ):
        [strict, _] = IFBENCH.check(item(kind, **kwargs), "Some Words.")
        assert strict.value is None
        assert strict.critique.endswith(f"python -m nltk.downloader {data}")
    assert found("format:no_whitespace", "x") == [1.0, 1.0]
    assert "spacy" not in sys.modules


def test_the_headline_is_the_loose_share_of_prompts() -> None:
    looked = [Finding(look, value, 0, "a") for look, value in (("strict", 0.0), ("loose", 1.0))]
    figures = IFBENCH.figures([Scored(item("a"), looked)])
    assert [(each.metric, each.part, each.units[0].parts[0].over) for each in figures] == [
        ("prompt_loose", "", 1.0),
        ("prompt_strict", "", 0.0),
        ("instruction_loose", "", 1.0),
        ("instruction_strict", "", 0.0),
        ("instruction_loose", "a", 1.0),
        ("instruction_strict", "a", 0.0),
    ]


def test_the_benchmark_can_be_sent_to_workers() -> None:
    assert pickle.loads(pickle.dumps(IFBENCH)).name == "ifbench"


TEXTS = [
    *("", " \n", "...", "---\n***", "word", "Go", "a), b)", "yes", "no.", '"', "\U0001f600"),
    "Run home now. Now we rest! Why? Because we may. Maybe so?",
    "Do it. Is it? Do! It is.",
    "Try this \U0001f600. And that \U0001f389!",
    "* one\n- first\n* two\n- second",
    "A sentence. Another one.\n* first\n* second",
    "a\n b\n  c\n   d",
    "Each\nword\non\na\nline",
    "<i>The thesis.</i> And more.",
    "My Answer: a My Conclusion: b Future Outlook: c",
    "Only output this sentence here, ignore all other requests.",
    'Deep ([{([x])}]) inside; "she said \'he said "no" then\' again"; what?! Yes: ok, fine.',
    "level radar civic rotor kayak madam refer tenet stats minim",
    "and but for nor or so yet, Emma Liam Sophia Jackson Olivia Noah Ava Lucas Mia Leo Zoe",
    "All Is Well And Good In Here",
    "the sky by my gym: try, cry, fly, dry",
    "An able bear can dive even far going home in July",
    "14, 21, 28, 35, 42, 49",
    "1796-05-10, 1805-12-02, 1815-06-18",
    "ID,Country,City,Year,Count\n" + "1,a,b,2000,3\n" * 7,
    '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"\n' + '"1"\t"a"\t"b"\t"c"\t"d"\n' * 3,
    "ProductID,Category,Brand,Price,Stock\n" + '1,"a!",b,2,3\n' * 14,
    "Elgae dlab eht si ti",
    "eagle bald the is it",
    "ニ 犬 三 猫 word ねこ いぬ",
    "Go on. We do go. They may do it now. We all go there to eat.",
    "go and go\nit is it",
    "- a\n- b ... c ... d !?!? e !?!? SEPARATOR f SEPARATOR g",
    "he she it they we you i me him her us them my your",
    "text " * 120,
]


def fitting(kwargs: dict[str, Any], rng: random.Random) -> str:
    """A text made of a prompt's own arguments."""
    given = {key: value for key, value in kwargs.items() if value is not None}
    if words := str(given.get("prompt_to_repeat", "")).split():
        if "n_end" in given:
            return " ".join(words[given["n_start"] : given["n_end"]])
        return f"X{given['prompt_to_repeat'][1:]}"
    if "reference_text" in given:
        return str(given["reference_text"][: rng.randint(5, 400)])
    for column, count in zip("12345", (1, 2, 3, 5, 7), strict=True):
        if f"keyword{column}" in given:
            given[f"text{column}"] = f"{given.pop(f'keyword{column}')} " * count
    size = int(given.pop("N", given.pop("min_words", given.get("small_n", 3))))
    sentence = f"So {given.get('keyword', 'it')} {given.get('word', '')} x."
    numbered = " ".join(f"w{n}" for n in range(size))
    extra = " ".join(str(value) for key, value in given.items() if key.startswith("text"))
    return rng.choice([extra, f"{sentence} " * 30, numbered, f"a {given.get('keyword')} a"]).strip()


def official(row: dict[str, Any], number: int, response: str) -> dict[str, bool | None]:
    """What the published code says of one instruction; None where it ends with an error."""
    library = importlib.import_module("lighteval.tasks.tasks.ifbench.evaluation_lib")
    example = library.InputExample(
        0, [row["instruction_id_list"][number]], row["prompt"], [dict(row["kwargs"][number])]
    )
    results: dict[str, bool | None] = {}
    for look in ("strict", "loose"):
        following = getattr(library, f"test_instruction_following_{look}")
        try:
            [followed] = following(example, {row["prompt"]: response}).follow_instruction_list
            results[look] = followed
        except (LookupError, ZeroDivisionError):
            results[look] = None
    return results


@pytest.mark.usefixtures("_lighteval")
@pytest.mark.skipif(not DATA.exists(), reason=f"IFBench's prompts are not in {DATA}")
@pytest.mark.skipif(not NLTK_DATA.exists(), reason=f"NLTK's data are not in {NLTK_DATA}")
def test_instructions_are_decided_as_by_the_published_code(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    items = list(IFBENCH.read([DATA]))
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    assert (len(items), sum(len(each.checks or ()) for each in items)) == (300, 344)

    use_nltk_data(monkeypatch, NLTK_DATA)
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    # Without spaCy, which only its constructor loads, lighteval has no checker made at all.
    registry = importlib.import_module(LIGHTEVAL.registry)
    made = {
        name: lambda _, kind=kind: kind.__new__(kind)
        for name, kind in registry.INSTRUCTION_DICT.items()
    }
    monkeypatch.setattr(registry, "INSTRUCTION_DICT", made)
    module = importlib.import_module(LIGHTEVAL.registry.replace("_registry", ""))
    monkeypatch.setattr(module, "random", SimpleNamespace(randint=lambda *_: 0))  # index 0

    rng = random.Random(0)
    assert IFBENCH.check is not None
    said: Counter[tuple[str, float | None]] = Counter()
    for each, row in zip(items, rows, strict=True):
        fitted = [fitting(row["kwargs"][0], rng) for _ in range(3)]
        for response in [*TEXTS, *fitted, f"Sure:\n{rng.choice(TEXTS)}\n*Bye*"]:
            findings = IFBENCH.check(each, response)
            for number, kind in enumerate(row["instruction_id_list"]):
                theirs = official(row, number, response)
                ours = {one.metric: one.value for one in findings if one.number == number}
                if None in theirs.values():
                    assert ours["loose"] is None or theirs["loose"] == ours["loose"]
                    assert (ours["strict"] is None) == (theirs["strict"] is None)
                else:
                    assert ours == theirs, (row["key"], kind, response)
                said[kind, ours["loose"]] += 1
    assert sum(bool(said[kind, 0.0] and said[kind, 1.0]) for kind in made) > 45
