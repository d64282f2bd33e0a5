"""General ability: what lm-eval's own run of a task finds, our job finds of the same server."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation import harness
from evaluation.benchmarks import gsm8k, mmlu, triviaqa
from pipelines import evaluate
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines.rounds import query

PROBLEMS = [
    {
        "question": f"Ann has {n} pears and buys {n + 3}. How many are these?",
        "answer": f"#### {2 * n + 3}",
    }
    for n in range(24)
]
QUESTIONS = [
    {
        "question": f"Who was number {n}",
        "answer": {"aliases": [f"Person {n}", f"No {n}"], "value": "x"},
    }
    for n in range(20)
]
SUBJECTS = ("astronomy", "virology")


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "scipy", "datasets", "yaml"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


def speak(body: Body) -> Answer:
    """Right or wrong, in one of several forms, by the question; ends where it is told to."""
    asked = body["messages"][-1]["content"]
    draw = int(hashlib.sha256(asked.encode()).hexdigest(), 16)
    if "Ann has" in asked:
        pears = int(asked.split()[3])
        right = 2 * pears + 3 + (draw % 3 == 0)
        forms = (
            f"So The answer is {right}.",
            f"They are {right}",
            f"1 and 2. The answer is {right}. Yes",
        )
        said = forms[draw % len(forms)]
    elif "Who was" in asked:
        number = asked.rpartition("number ")[2].partition("?")[0]
        said = (f"person {number}", f" No {number}", "nobody")[draw % 3]
    else:
        said = ("A", " B", "c", "D. it is", "none")[draw % 5]
    stops = [said.find(stop) for stop in body.get("stop", ()) if stop in said]
    return [said[: min(stops, default=len(said))]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The three benchmarks in the forms they are published in."""
    folder = tmp_path / "data"
    for name, file, rows in (
        ("gsm8k", "test.jsonl", PROBLEMS),
        ("triviaqa", "trivia.jsonl", QUESTIONS),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    definitions = [*harness.folder().joinpath("mmlu", "generative").glob("mmlu_*.yaml")]
    for which in ("dev", "test"):
        (folder / "mmlu" / which).mkdir(parents=True)
        for subject in sorted(path.stem.removeprefix("mmlu_") for path in definitions):
            count = 5 if which == "dev" else 15 if subject in SUBJECTS else 1
            with (folder / "mmlu" / which / f"{subject}_{which}.csv").open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(["question", "choice0", "choice1", "choice2", "choice3", "answer"])
                for n in range(count):
                    table.writerow([f"{subject} {which} {n}?", "so", f"or, {n}", "if", "no", n % 4])
    return folder


def ours(run: Path, data: Path, server: LoopbackServer, names: str, *more: str) -> int:
    line = ["--run", str(run), "--benchmark", names, "--data", str(data)]
    return evaluate.main([*line, "--engine_url", server.url, *more])


def theirs(server: LoopbackServer, config: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of lm-eval's own run of a task."""
    task = importlib.import_module("lm_eval.api.task").ConfigurableTask(config=dict(config))
    arguments = f"model=loopback,base_url={server.url}/v1/chat/completions,num_concurrent=4"
    found = importlib.import_module("lm_eval").simple_evaluate(
        model="local-chat-completions",
        model_args=arguments,
        tasks=[task],
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    assert found is not None
    results: dict[str, Any] = found["results"][config["task"]]
    return {name: value for name, value in results.items() if name.startswith("exact_match,")}


def asked(server: LoopbackServer) -> list[str]:
    """What a server was asked, but for seeds and fields of ours."""
    told = ("messages", "stop", "max_tokens")
    return sorted(
        json.dumps([*(body[name] for name in told), float(body["temperature"])])
        for body in server.bodies
    )


def local(path: Path, kind: str = "json") -> dict[str, Any]:
    return {
        "dataset_path": kind,
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(path), "validation": str(path)}},
        "training_split": None,
    }


def figures(run: Path, benchmark: str, part: str = "") -> dict[str, float]:
    where = f"benchmark = '{benchmark}' and part = '{part}' and scored = items"
    return dict(query(run, f"select metric, value from evaluations where {where}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "define", "file"),
    [("gsm8k", gsm8k.define, "test.jsonl"), ("triviaqa", triviaqa.define, "trivia.jsonl")],
)
def test_lm_evals_own_run_asks_the_same_and_finds_the_same(
    tmp_path: Path, data: Path, name: str, define: Any, file: str
) -> None:
    run = tmp_path / "run"
    with serving(speak) as server, serving(speak) as other:
        assert ours(run, data, server, name) == 0
        official = theirs(other, define() | local(data / name / file))
        assert asked(server) == asked(other)
    assert figures(run, name) == official
    assert any(0.1 < value < 0.9 for value in official.values())


@pytest.mark.slow
def test_lm_evals_own_run_of_a_subject_finds_the_same(tmp_path: Path, data: Path) -> None:
    run, subject = tmp_path / "run", SUBJECTS[0]
    rows = {
        which: mmlu_rows(data / "mmlu" / which / f"{subject}_{which}.csv")
        for which in ("dev", "test")
    }
    for which, some in rows.items():
        (tmp_path / f"{which}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    files = {which: str(tmp_path / f"{which}.jsonl") for which in rows}
    config = {
        **mmlu.define(),
        "description": "The following are multiple choice questions (with answers) about "
        f"{subject}.\n\n",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
    }
    with serving(speak) as server, serving(speak) as other:
        assert ours(run, data, server, "mmlu") == 0
        official = theirs(other, config)
        assert set(asked(other)) < set(asked(server))
    assert figures(run, "mmlu", subject) == official
    metric = "exact_match,get_response"
    [(subjects, right, count)] = query(
        run,
        "select count(*), sum(value * items), sum(items) from evaluations "
        f"where part != '' and metric = '{metric}'",
    )
    assert (subjects, count) == (57, 85)
    assert figures(run, "mmlu")[metric] == pytest.approx(right / count)
    assert len({figures(run, "mmlu", each)[metric] for each in SUBJECTS}) == 2


def mmlu_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    return [{"question": q, "choices": choices, "answer": int(a)} for q, *choices, a in rows]


def test_second_run_asks_nothing(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    with serving(speak) as server:
        assert ours(run, data, server, "gsm8k", "--limit", "5") == 0
        assert len(server.bodies) == 5
        assert ours(run, data, server, "gsm8k") == 0
        assert len(server.bodies) == len(PROBLEMS)
        assert ours(run, data, server, "gsm8k") == 0
        assert len(server.bodies) == len(PROBLEMS)
    rows = query(run, "select decoder, votes, budget, responses from answers group by all")
    assert rows == [("greedy", 0, 1, 1)]


def test_other_right_answers_are_other_data(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    rows = [PROBLEMS[0] | {"answer": "#### 0"}, *PROBLEMS[1:]]
    with serving(speak) as server:
        assert ours(run, data, server, "gsm8k") == 0
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / "gsm8k" / "test.jsonl").write_text(text)
        capsys.readouterr()
        assert ours(run, data, server, "gsm8k") == 2
    assert "gsm8k: 1 items" in capsys.readouterr().err


def test_other_decoders_are_refused(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(speak) as server:
        assert ours(tmp_path / "run", data, server, "gsm8k", "--decoder", "bfs") == 2
        assert not server.bodies
    error = capsys.readouterr().err
    assert error == "error: --decoder bfs is not for gsm8k: its chats are answered once\n"


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("gsm8k", "test.jsonl", '{"question": "q"}\n', "row 1: no `answer`"),
        ("gsm8k", "test.jsonl", "", "no rows"),
        ("gsm8k", "test.jsonl", "{\n", "row 1: no JSON"),
        ("gsm8k", "test.jsonl", '{"question": "q", "answer": 5}\n', "row 1: `answer` is '5'"),
        ("triviaqa", "trivia.jsonl", '{"question": "q", "answer": "a"}\n', "`answer` is 'a'"),
        ("triviaqa", "trivia.jsonl", '{"question": "q", "answer": {"a": 1}}\n', "answer.aliases`"),
        ("mmlu", "test/astronomy_test.csv", "q,a,b,c,d,7\n", "row 1: not a question"),
        ("mmlu", "test/alchemy_test.csv", "q,a,b,c,d,1\n", "lm-eval knows no subject alchemy"),
        (
            *("mmlu", "dev/virology_dev.csv", "q,a,b,c,d,1\n"),
            "1 of 57 subjects are incomplete: virology has 15 questions and 1 of 5 examples",
        ),
    ],
)
def test_changed_files_are_refused_in_one_line(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    file: str,
    content: str,
    said: str,
) -> None:
    (data / name / file).write_text(content)
    with serving(speak) as server:
        assert ours(tmp_path / "run", data, server, name) == 2
        assert not server.bodies
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
