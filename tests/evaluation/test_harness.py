"""Tasks of lm-eval: what is read and asked, and figures that were worked out by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.benchmark import BadData, Benchmark, Figure, Scored, details
from evaluation.benchmarks.gsm8k import GSM8K
from evaluation.benchmarks.mmlu import MMLU
from evaluation.benchmarks.triviaqa import TRIVIAQA
from evaluation.harness import folder
from schemas.items import Item


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "datasets", "yaml"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def subjects() -> list[str]:
    files = folder().joinpath("mmlu", "generative").glob("mmlu_*.yaml")
    return sorted(path.stem.removeprefix("mmlu_") for path in files)


def mmlu_files(place: Path, names: Sequence[str], last: str = "2") -> list[Path]:
    """Five examples and two questions a subject, without a header; the second's right is last."""
    paths = []
    for name in names:
        for which, answers in (("dev", ["A"] * 5), ("test", ["B", last])):
            path = place / f"{name}_{which}.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = [[f"{which}, {n}?", "p", "q", "r", "s", a] for n, a in enumerate(answers)]
                csv.writer(file).writerows(rows)
            paths.append(path)
    return paths


def scored(benchmark: Benchmark, items: Sequence[Item], said: Sequence[str]) -> list[Scored]:
    assert benchmark.check is not None
    return [
        Scored(item, benchmark.check(item, text)) for item, text in zip(items, said, strict=True)
    ]


def mean(figure: Figure) -> float:
    return sum(unit.parts[0].over for unit in figure.units) / len(figure.units)


def means(benchmark: Benchmark, found: Sequence[Scored]) -> dict[tuple[str, str], float]:
    return {(each.metric, each.part): mean(each) for each in benchmark.figures(found)}


def test_gsm8k_asks_with_eight_examples_and_reads_the_number(tmp_path: Path) -> None:
    rows = [{"question": f"How many, {n}?", "answer": "1 and 1,017\n#### 1,018"} for n in range(6)]
    items = list(GSM8K.read([write(tmp_path / "test.jsonl", rows)]))
    chat = details(items[3])["chat"]
    assert [turn["role"] for turn in chat["messages"]] == ["user", "assistant"] * 8 + ["user"]
    assert chat["messages"][-1]["content"] == items[3].prompt == "Q: How many, 3?\nA:"
    assert chat["stop"] == ["Q:", "</s>", "<|im_end|>"]
    assert chat["max_tokens"] == 256
    said = [
        "So The answer is 1018.",
        "The answer is $1,018.",  # the first filter takes no dollar
        "They are 1018, I think",
        "1018 and 2 more",  # the last number counts
        "The answer is 1018",  # the first filter takes one character off
        "none",
    ]
    assert means(GSM8K, scored(GSM8K, items, said)) == {
        ("exact_match,flexible-extract", ""): 4 / 6,
        ("exact_match,strict-match", ""): 1 / 6,
    }


def test_triviaqa_takes_any_of_the_names(tmp_path: Path) -> None:
    answer = {"value": "A. Person", "aliases": ["A. Person", "That one"]}
    rows = [{"question": "Who was it", "answer": answer}] * 4
    items = list(TRIVIAQA.read([write(tmp_path / "trivia.jsonl", rows)]))
    assert items[0].prompt == "Question: Who was it?\nAnswer:"
    assert details(items[0])["chat"]["stop"] == ["\n", ".", ","]
    found = scored(TRIVIAQA, items, ["a person", " That one!", "That", ""])
    assert means(TRIVIAQA, found) == {("exact_match,remove_whitespace", ""): 2 / 4}


def test_mmlu_counts_every_question_alike_and_each_subject(tmp_path: Path) -> None:
    known = subjects()
    items = list(MMLU.read(mmlu_files(tmp_path, known)))
    assert [item.position for item in items] == [*range(2 * 57)]
    chat = details(items[0])["chat"]
    roles = ["system"] + ["user", "assistant"] * 5 + ["user"]
    assert [turn["role"] for turn in chat["messages"]] == roles
    assert items[0].prompt == "test, 0?\nA. p\nB. q\nC. r\nD. s\nAnswer:"
    some = [item for item in items if item.category in known[:2]]
    found = scored(MMLU, some, [" b.\nC", "C", "B is it", "D"])
    metric = "exact_match,get_response"
    assert means(MMLU, found) == {
        (metric, ""): 2 / 4,
        (metric, known[0]): 2 / 2,
        (metric, known[1]): 0 / 2,
    }


def test_mmlu_reads_the_files_of_the_hub(tmp_path: Path) -> None:
    paths = []
    for which, count in (("dev", 5), ("test", 2)):
        rows = [
            {"question": f"{which}, {n}?", "subject": name, "choices": [*"pqrs"], "answer": 1 + n}
            for name in subjects()
            for n in [0, 1, 0, 0, 0][:count]
        ]
        paths.append(tmp_path / f"{which}-00000-of-00001.parquet")
        pq.write_table(pa.Table.from_pylist(rows), paths[-1])
    (tmp_path / "csv").mkdir()
    from_hub, from_csv = MMLU.read(paths), MMLU.read(mmlu_files(tmp_path / "csv", subjects()))
    for one, other in zip(from_hub, from_csv, strict=True):
        asked = [details(each)["chat"]["messages"][-1] for each in (one, other)]
        assert asked[0] == asked[1]
        assert details(one)["doc"] == details(other)["doc"]


def test_mmlu_without_subjects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="3 of 57 subjects are incomplete: abstract_algebra has 0"):
        list(MMLU.read(mmlu_files(tmp_path, subjects()[3:])))
    with pytest.raises(BadData, match=r"row 2: not a question, four choices and one of 0 to 3"):
        list(MMLU.read(mmlu_files(tmp_path, subjects(), last="E")))
