"""HumanEval: what is asked, how an answer becomes a program, and what the sandbox's word counts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.benchmark import BadData, Scored, details
from evaluation.benchmarks import humaneval
from evaluation.benchmarks.humaneval import HUMANEVAL, program
from spar_core.sandbox import Ran

ROW = {
    "task_id": "HumanEval/0",
    "prompt": 'def half(n):\n    """Half of n."""\n',
    "entry_point": "half",
    "canonical_solution": "    return n / 2\n",
    "test": "\ndef check(candidate):\n    assert candidate(4) == 2\n",
}


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "datasets", "yaml"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "HumanEval.jsonl.gz"
    path.write_bytes(gzip.compress(3 * (json.dumps(ROW) + "\n").encode()))
    return path


def test_the_answer_begins_with_the_function_and_ends_with_its_block(file: Path) -> None:
    item, *_ = HUMANEVAL.read([file])
    chat = details(item)["chat"]
    asked, begun = chat["messages"]
    assert (asked["role"], begun["role"]) == ("user", "assistant")
    assert ROW["prompt"] in asked["content"]
    assert begun["content"] == f"Here is the completed function:\n```python\n{ROW['prompt']}\n"
    assert chat["stop"] == ["\nclass", "\ndef", "\n#", "\nif"]
    assert chat["max_tokens"] == 1024
    assert program(ROW, "    return 1\n```\nThat is all.") == (
        f"{ROW['prompt']}    return 1\n\n{ROW['test']}\ncheck(half)"
    )


def test_programs_that_cannot_be_run_are_not_counted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter(["passed", "limit", "unsupported"])
    seen: list[str] = []

    def run(code: str, **_: Any) -> Ran:
        seen.append(code)
        return Ran(next(outcomes), "why")  # type: ignore[arg-type]

    monkeypatch.setattr(humaneval.sandbox, "run", run)
    items = list(HUMANEVAL.read([file]))
    assert HUMANEVAL.check is not None
    found = [Scored(item, HUMANEVAL.check(item, "    return n / 2\n")) for item in items]
    said = [(each.value, each.critique) for one in found for each in one.findings]
    assert said == [(1.0, ""), (0.0, "limit: why"), (None, "unsupported: why")]
    [figure] = HUMANEVAL.figures(found)
    assert (figure.metric, figure.scored, figure.items) == ("pass@1", 2, 3)
    assert [unit.parts[0].over for unit in figure.units] == [1.0, 0.0]
    assert all(code.endswith("check(half)") for code in seen)


def test_a_file_that_is_cut_off_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(BadData, match="cannot be read"):
        list(HUMANEVAL.read([file]))
