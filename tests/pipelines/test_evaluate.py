"""Evaluating: whole jobs in this process, with engines on loopback and answers from files.

What the stages make of items: tests/evaluation/test_stages.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import evaluate, refine
from tests.loopback import Answer, Body, free_port, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import query, role, story

COMMA = [{"id": "punctuation:no_comma"}]
QUOTED = [{"id": "punctuation:no_comma"}, {"id": "startend:quotation"}]
ITEMS = [
    {"prompt": "Say a.", "checks": COMMA},
    {"prompt": "Say b.", "checks": COMMA},
    {"prompt": "Say c in quotes.", "checks": QUOTED},
    {"prompt": "Say d in quotes.", "checks": QUOTED},
]
SAID = {"Say a.": "a", "Say b.": "b, b", "Say c in quotes.": '"c"', "Say d in quotes.": "d"}
STRICT = {"average": (0.5 + 0.5 + 4 / 6 + 4 / 6) / 4, "prompt_strict": 0.5}


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `evaluate` is not installed")
    pytest.importorskip("scipy", reason="the extra `evaluate` is not installed")


@pytest.fixture
def items(tmp_path: Path) -> Path:
    return write(tmp_path / "items.jsonl", ITEMS)


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answered(path: Path, **more: str) -> Path:
    said = {**SAID, **more}
    return write(path, [{"prompt": p, "response": r} for p, r in said.items()])


def speak(body: Body) -> Answer:
    """An actor that says `SAID`, a judge that lets pass what has no comma and is not d."""
    n, first = body.get("n", 1), body["messages"][0]["content"]
    if role(body) == "actor":
        return [SAID[first]] * n
    if role(body) == "refine":
        return ["Reflection: x\nFinal Refined Output: [[start]] fine [[end]]"] * n
    output = first.partition('Output: "')[2]
    vote = "No" if ", " in output.partition("\n\nGo through")[0] else "Yes"
    return [f"x\nFinal Judgement: {vote}"] * n


def command(run: Path, data: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--benchmark", "custom", "--data", str(data), *more]


def figures(run: Path, where: str = "part = ''") -> dict[str, float]:
    rows = query(run, f"select metric, value from evaluations where {where}")
    return dict(rows)


def one_line(capsys: pytest.CaptureFixture[str], *said: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(each in error for each in said), error


def test_answers_from_a_file_are_scored_without_an_engine(
    tmp_path: Path, items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, said = tmp_path / "run", answered(tmp_path / "said.jsonl")
    assert evaluate.main(command(run, items, "--responses", str(said))) == 0
    found = figures(run)
    assert {name: found[name] for name in STRICT} == pytest.approx(STRICT)
    assert query(run, "select distinct decoder, model, scored, items from evaluations "
                      "where part = ''") == [("given", "said", 4, 4)]  # fmt: skip
    assert query(run, "select count(*) from scores") == [(12,)]
    assert figures(run, "part = 'startend:quotation'")["instruction_strict"] == 0.5
    printed = capsys.readouterr().out
    assert "4 of 4" in printed
    assert "check: 4 answers" in printed
    assert "grade" not in printed, "a stage without items says nothing"
    assert evaluate.main(command(run, items, "--responses", str(said))) == 0
    assert query(run, "select count(*) from scores") == [(12,)]
    other = answered(tmp_path / "other.jsonl", **{"Say a.": "a, a"})
    assert evaluate.main(command(run, items, "--responses", str(other))) == 5
    again = command(run, items, "--responses", str(other), "--variant", "other")
    assert evaluate.main(again) == 0
    assert figures(run, "part = '' and variant = 'other'")["prompt_strict"] == 0.25


def test_a_missing_answer_is_said_and_not_scored(
    tmp_path: Path, items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": p, "response": r} for p, r in SAID.items()]
    said = write(tmp_path / "said.jsonl", rows[:3])
    assert evaluate.main(command(tmp_path / "run", items, "--responses", str(said))) == 0
    out = capsys.readouterr().out
    assert "1 items have no answer and are not scored" in out
    assert "only 3 of 4 items could be scored" in out


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no answers"),
        ([{"prompt": "Say a."}], "row 1: no `response`"),
        ([{"prompt": "Say z.", "response": "z"}], "1 rows whose prompt is none of"),
        ([{"prompt": "Say a.", "response": "a"}] * 3, "2 rows that repeat"),
        ([{"prompt": "Say a.", "response": 1}], "row 1"),
        ([["Say a."]], "row 1"),
    ],
)
def test_answers_that_are_none_are_refused(
    rows: list[Any], says: str, tmp_path: Path, items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = write(tmp_path / "said.jsonl", rows)
    assert evaluate.main(command(tmp_path / "run", items, "--responses", str(said))) == 2
    one_line(capsys, says)


def test_bad_command_lines_are_one_line(
    tmp_path: Path, items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--run", str(tmp_path / "run")]
    for given, says in (
        ([], "--benchmark NAME is needed"),
        (["--benchmark", "ifevil"], "no benchmark 'ifevil'"),
        (["--benchmark", "ifeval", "--data", str(tmp_path / "no")], "no such file or folder"),
        (["--benchmark", "ifeval", "--data", str(tmp_path)], "no input_data.jsonl"),
        (["--benchmark", "custom", "--data", str(tmp_path / "items.jsonl"), "--responses", "no"],
         "cannot be read"),
        (["--benchmark", "llmbar", "--responses", "x"], "--responses is for one benchmark"),
        (["--benchmark", "refinement"], "no run there"),
    ):  # fmt: skip
        assert evaluate.main([*run, *given]) == 2
        one_line(capsys, says)


def test_other_data_of_the_same_name_are_refused(
    tmp_path: Path, items: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, said = tmp_path / "run", answered(tmp_path / "said.jsonl")
    assert evaluate.main(command(run, items, "--responses", str(said))) == 0
    capsys.readouterr()
    write(items, [{**ITEMS[0], "prompt": "Say a"}, *ITEMS[1:]])
    rows = [{"prompt": "Say b.", "response": "b"}]
    said = write(tmp_path / "said.jsonl", rows)
    assert evaluate.main(command(run, items, "--responses", str(said))) == 2
    one_line(capsys, "were read from other data")


def test_figures_of_a_variant_are_of_the_answers_that_it_shares(
    tmp_path: Path, items: Path
) -> None:
    run, names = tmp_path / "run", ("one", "two")
    asked = 0

    def counted(body: Body) -> Answer:
        nonlocal asked
        asked += 1
        return speak(body)

    with serving(counted) as server:
        for name in names:
            engine = ["--engine_url", server.url, "--variant", name]
            assert evaluate.main(command(run, items, *engine)) == 0
    assert asked == len(ITEMS), "the second variant has the answers of the first"
    found = [figures(run, f"part = '' and variant = '{name}'") for name in names]
    assert found[0] == found[1] and found[0]["prompt_strict"] == 0.5


def test_decoders_stand_side_by_side_as_variants(tmp_path: Path, items: Path) -> None:
    run = tmp_path / "run"
    with serving(speak) as server:
        given = command(run, items, "--engine_url", server.url)
        assert evaluate.main(given) == 0
        assert len(server.bodies) == 4
        assert all(body["temperature"] == 0 for body in server.bodies)
        assert evaluate.main(given) == 0
        assert len(server.bodies) == 4
        more = ["--responses_per_item", "3", "--votes", "1", "--decoder", "iterative"]
        assert evaluate.main([*given, *more]) == 0
    rows = query(run, "select variant, decoder, budget, votes, sum(responses), bool_and(passed) "
                      "from answers group by all order by all")  # fmt: skip
    assert rows == [
        ("iterative-3-v1", "iterative", 3, 1, 5, True),
        ("main", "greedy", 1, 0, 4, None),
    ]
    assert query(run, "select distinct responses from evaluations "
                      "where variant = 'iterative-3-v1'") == [(1.25,)]  # fmt: skip
    found = figures(run, "part = '' and variant = 'main'")
    assert found["average"] == pytest.approx(STRICT["average"])
    assert figures(run, "part = '' and variant = 'iterative-3-v1'")["prompt_strict"] == 0.75


def test_llmbar_is_judged_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "llmbar"
    data.mkdir()
    for subset in ("Natural", "Neighbor", "GPTInst", "GPTOut", "Manual"):
        rows = [{"input": f"Say {subset}.", "output_1": "b, b", "output_2": "b", "label": 2}]
        (data / f"{subset}.json").write_text(json.dumps(rows))
    run = tmp_path / "run"
    with serving(speak) as server:
        given = ["--run", str(run), "--benchmark", "llmbar", "--data", str(tmp_path)]
        assert evaluate.main([*given, "--engine_url", server.url, "--votes", "1"]) == 0
        assert len(server.bodies) == 10
    assert figures(run)["accuracy"] == 1.0


def test_failing_answers_of_a_run_are_refined_anew(tmp_path: Path, small_run: Path) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    failing = query(run, "select count(*) from judgements where verdict = 'no'")[0][0]
    with serving(story) as server:
        given = ["--run", str(run), "--benchmark", "refinement", "--engine_url", server.url]
        assert evaluate.main([*given, "--decoder", "bfs"]) == 0
    assert query(run, "select scored, items, metric from evaluations where metric = 'self' "
                      "and part = ''") == [(failing, failing, "self")]  # fmt: skip
    assert query(run, "select count(*) from answers")[0][0] == failing


def test_engine_of_a_role_that_nobody_asks_need_not_be_there(tmp_path: Path, items: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with serving(speak) as server:
        given = ["--actor_url", server.url, "--judge_url", away, "--refiner_url", away]
        assert evaluate.main(command(tmp_path / "run", items, *given)) == 0
        assert len(server.bodies) == len(ITEMS)


def test_variant_of_an_evaluation_is_no_variant_of_a_data_round(
    tmp_path: Path, items: Path, small_run: Path, few: Path
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    held = query(run, "select * from variants")
    with serving(story) as server:
        deep = ["--variant", "deep", "--depth", "3"]
        assert refine.main(rounds.small(run, few, server.url, *deep)) == 0
    with serving(speak) as server:
        given = command(run, items, "--engine_url", server.url, "--decoder", "best_of_n")
        assert evaluate.main([*given, "--responses_per_item", "2"]) == 0
    assert [row[1] for row in query(run, "select * from variants")] == ["deep", "main"]
    assert query(run, "select * from variants where variant = 'main'") == held


def test_a_conversation_is_asked_turn_by_turn_and_once(tmp_path: Path) -> None:
    row: dict[str, Any] = {"key": "1:en", "language": "English"}
    for turn in (1, 2):
        row |= {
            f"turn_{turn}_prompt": {"role": "user", "content": f"Say {turn}."},
            f"turn_{turn}_instruction_id_list": ["punctuation:no_comma"],
            f"turn_{turn}_kwargs": ["{}"],
        }
    data, run = write(tmp_path / "turns.jsonl", [row]), tmp_path / "run"
    given = ["--run", str(run), "--benchmark", "multiif", "--data", str(data)]
    with serving(lambda body: ["a, b" if len(body["messages"]) == 1 else "c"]) as server:
        for _ in range(2):
            assert evaluate.main([*given, "--engine_url", server.url]) == 0
    assert [[turn["content"] for turn in body["messages"]] for body in server.bodies] == [
        ["Say 1."],
        ["Say 1.", "a, b", "Say 2."],
    ]
    assert query(run, "select response from answers") == [('["a, b", "c"]',)]
    assert figures(run, "part = 'turn 1'")["prompt_strict"] == 0
    assert figures(run, "part = 'turn 2'")["prompt_strict"] == 1
    assert figures(run)["average"] == 0.5
