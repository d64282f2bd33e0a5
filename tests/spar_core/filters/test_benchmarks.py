"""Files of benchmarks: what is read of them, and what is said of those that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spar_core.filters.benchmarks import BadBenchmark, read

BENCH = Path(__file__).parents[4] / "shared/bench"


def texts(*files: Path | str) -> list[str]:
    return [text for _, text in read(map(str, files))]


def written(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("A text.", ["A text."]),
        ({"prompt": "One.", "target": "No."}, ["One."]),
        ({"instruction": "Do.", "input": "This.", "output": "No."}, ["Do.", "This."]),
        ({"question": "Why?", "text": " ", "answer": 3}, ["Why?"]),
        ({"turns": ["First?", "Second?"]}, ["First?", "Second?"]),
        ({"prompt": [{"role": "user", "content": "Chat."}]}, ["Chat."]),
        (
            {
                "messages": [
                    {"role": "system", "content": "No."},
                    {"role": "user", "content": "Ask."},
                    {"role": "assistant", "content": "No."},
                ]
            },
            ["Ask."],
        ),
        (
            {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "No."}]},
            ["Hi."],
        ),
        ({"instruction_id_list": ["no"], "kwargs": [{}], "key": 1}, []),
        ([1], []),
    ],
)
def test_prompts_stand_in_the_usual_fields(row: Any, expected: list[str], tmp_path: Path) -> None:
    listed = written(tmp_path / "rows.json", ["Always there.", row])
    lines = tmp_path / "rows.jsonl"
    lines.write_text(f'"Always there."\n\n{json.dumps(row)}\n')
    assert texts(listed) == texts(lines) == ["Always there.", *expected]


def test_all_formats_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufeffid,question\n1,"Two\nlines?"\n2,Next.\n')
    (tmp_path / "b.txt").write_text("One line.\n\nAnother.\n")
    pq.write_table(pa.table({"instruction": ["Parquet."], "n": [1]}), tmp_path / "c.parquet")
    with gzip.open(tmp_path / "d.jsonl.gz", "wt") as file:
        file.write('\n{"prompt": "Packed."}\n')
    (tmp_path / "e.json").write_text('{"prompt": "Lines called JSON."}\n{"prompt": "Two."}\n')
    (tmp_path / "f.json").write_text('["A list.", {"prompt": "Of two."}]')
    found = [(Path(place).name, text.strip()) for place, text in read([f"{tmp_path}/*"])]
    assert found == [
        *(("a.csv:2", "Two\nlines?"), ("a.csv:4", "Next.")),
        *(("b.txt:1", "One line."), ("b.txt:3", "Another."), ("c.parquet:1", "Parquet.")),
        *(("d.jsonl.gz:2", "Packed."), ("e.json:1", "Lines called JSON."), ("e.json:2", "Two.")),
        *(("f.json:1", "A list."), ("f.json:2", "Of two.")),
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.jsonl", b'{"answer": "x"}\n', "no prompts in it"),
        ("empty.json", b"[]", "no prompts in it"),
        ("header.csv", b"a,b\n1,2\n", "no prompts in it"),
        ("broken.jsonl", b'{"prompt": "x"}\n{"pro\n', "cannot read it: line 2"),
        ("broken.json", b"[1,", "cannot read it"),
        ("broken.parquet", b"PAR", "cannot read it"),
        ("latin.jsonl", b'{"prompt": "\xe9"}', "cannot read it"),
        ("broken.jsonl.gz", b"no gzip", "cannot read it"),
        ("cut.jsonl.gz", gzip.compress(b'{"prompt": "x"}' * 9, mtime=0)[:-12], "cannot read it"),
    ],
)
def test_a_file_without_prompts_says_so_in_a_line(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadBenchmark) as raised:
        texts(tmp_path / name)
    said = str(raised.value)
    assert said.startswith(f"{tmp_path / name}: {reason}")
    assert "a benchmark is JSONL, JSON, CSV or Parquet with one of prompt, instruction" in said
    assert "\n" not in said


@pytest.mark.parametrize("pattern", ["missing.jsonl", "*.jsonl", "nowhere://x"])
def test_a_file_that_is_not_there_says_so(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(BadBenchmark, match=r"no such file|cannot look for it"):
        texts(pattern if ":" in pattern else tmp_path / pattern)


@pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not there")
@pytest.mark.parametrize(
    ("files", "prompts"),
    [
        ("ifeval/input_data.jsonl", 541),
        ("ifbench/IFBench_test.jsonl", 300),
        ("followbench/*.json", 927),
        ("llmbar/*.json", 567),
        ("general/gsm8k_test.jsonl", 1319),
        ("general/HumanEval.jsonl.gz", 164),
    ],
)
def test_benchmarks_are_read_as_they_come(files: str, prompts: int) -> None:
    assert len(texts(BENCH / files)) == prompts
