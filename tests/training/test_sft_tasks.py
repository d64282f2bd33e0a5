"""`training.sft --task`: what a teacher made for a first actor and for a first refiner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from schemas.pairs import Message
from schemas.sft_actor import SftActor
from schemas.sft_refiner import SftRefiner
from schemas.table import MAIN
from terminal.console import Console
from tests import committed
from tests.training import tiny
from training import dpo, job, rft, sft
from training.data import select


def answer(number: int, variant: str = MAIN) -> SftActor:
    return SftActor(
        sft_id=f"a{number}.{variant}",
        messages=[Message("user", f"Say {number}."), Message("assistant", f"{number}, {variant}.")],
        prompt_id=f"p{number}",
        source="response",
        teacher="rules",
        variant=variant,
    )


def lesson(number: int) -> SftRefiner:
    """A refinement: the judgement in it is a lesson of its own."""
    return SftRefiner(
        sft_id=f"l{number}",
        messages=[Message(**turn) for turn in tiny.chat(number)["messages"]],
        task="refine",
        label=None,
        source="response",
        teacher="rules",
        prompt_id=f"p{number}",
        response_id=f"r{number}",
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a bootstrap leaves: six answers, committed in no order, and four lessons."""
    folder = tmp_path / "run"
    for numbers in ((5, 1, 3), (4, 0, 2)):
        committed.commit(folder, "sft_actor", [answer(n) for n in numbers], iteration=0)
    return committed.commit(folder, "sft_refiner", [lesson(n) for n in range(4)], iteration=0)


def train(task: str, data: Path | str, model: Path, output: Path, *more: str) -> int:
    line = ["--task", task, "--data", str(data), "--model", str(model), "--output", str(output)]
    return sft.main([*line, "--max_steps", "1", *more])


def record(output: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((output / "training.json").read_bytes())
    return held


def test_actor_and_refiner_learn_what_is_theirs(
    run: Path, model: Path, pairs: Path, tmp_path: Path, capsys: Any
) -> None:
    actor, refiner, third = (tmp_path / name for name in ("actor-1", "refiner-1", "actor-2"))
    assert train("actor", run, model, actor) == 0
    assert f"answers: 6 in {run}: 6 to train on" in capsys.readouterr().out
    assert train("refiner", run, model, refiner, "--where", "iteration = 0") == 0
    said = capsys.readouterr().out
    assert f"lessons: 4 in {run}, 4 of them with iteration = 0: 4 to train on" in said
    assert [record(folder)["task"] for folder in (actor, refiner)] == ["actor", "refiner"]
    assert record(actor)["data"]["kinds"] == [{"method": "bootstrap", "variant": "main", "rows": 6}]
    assert "fine-tuning of a first actor" in (actor / "README.md").read_text()
    assert "fine-tuning of a first refiner" in (refiner / "README.md").read_text()

    line = ["--data", str(pairs), "--model", str(actor), "--output", str(third)]
    assert dpo.main([*line, "--max_steps", "1"]) == 0
    assert record(third)["lineage"][0]["task"] == "actor"
    lineage = (third / "README.md").read_text().partition("## Lineage")[2]
    assert f"1. sft (actor) of `{model}` on 6 examples of `{run}`" in lineage
    assert f"2. dpo of `{actor}`" in lineage


def test_the_last_turn_alone_is_learnt(run: Path, model: Path) -> None:
    training = sft.TASKS["refiner"]
    selection = select(str(run), training.table, training.columns)
    tokenizer = AutoTokenizer.from_pretrained(model)
    quiet = Console(quiet=True)
    examples = job._examples(training, selection, tokenizer, 4096, "", quiet)
    turns = [[*example["prompt"], *example["completion"]] for example in examples]
    assert turns == [tiny.chat(n)["messages"] for n in range(4)]
    assert all(len(example["completion"]) == 1 for example in examples)


def test_rows_of_a_run_have_an_order(run: Path) -> None:
    rows = select(str(run), "sft_actor", (("messages",),)).rows
    assert [row["messages"][0]["content"] for row in rows] == [f"Say {n}." for n in range(6)]  # type: ignore[index]


def test_files_will_do_too(run: Path, model: Path, tmp_path: Path) -> None:
    rows = [{**tiny.chat(n), "method": 1, "variant": None} for n in range(4)]
    lines = tiny.write_jsonl(tmp_path / "lessons.jsonl", rows)
    shards = f"{run}/sft_refiner/iteration=*/*.parquet"
    for number, data in enumerate((shards, lines)):
        assert train("refiner", data, model, tmp_path / f"out{number}") == 0
    one, other = (record(tmp_path / f"out{number}")["data"] for number in range(2))
    assert one["fingerprint"] == other["fingerprint"]
    assert other["kinds"] == [{"method": "1", "variant": "main", "rows": 4}]


def test_one_variant_or_those_that_are_named(
    run: Path, model: Path, tmp_path: Path, capsys: Any
) -> None:
    committed.commit(run, "sft_actor", [answer(n, "strict") for n in range(2)], iteration=0)
    out = tmp_path / "out"
    assert train("actor", run, model, out) == 2
    said = "are of several variants: 6 of bootstrap in main, 2 of bootstrap in strict; choose"
    assert said in capsys.readouterr().err
    assert train("actor", run, model, out, "--method", "self") == 3
    assert "are of method self: there are 6 of bootstrap in main" in capsys.readouterr().err
    assert train("actor", run, model, out, "--variant", "strict") == 0
    assert record(out)["data"]["selected"] == 2


@pytest.mark.parametrize("more", [[], ["--variant", "main"], ["--where", "label = 'Yes'"]])
@pytest.mark.parametrize(("task", "table"), [("actor", "sft_actor"), ("refiner", "sft_refiner")])
def test_a_run_without_these_rows_names_the_job_that_makes_them(
    task: str, table: str, more: list[str], model: Path, tmp_path: Path, capsys: Any
) -> None:
    run = committed.commit(tmp_path / "run", "pairs", [committed.pair(1)])
    assert train(task, run, model, tmp_path / "out", *more) == 3
    said = f"the run {run} has no rows in {table}: python -m pipelines.bootstrap --run {run} makes"
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}") and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "more", "code", "said"),
    [
        ("judge", [], 2, "--task is actor or refiner, not 'judge'"),
        ("actor", ["--where", "variant = 'dfs'"], 3, "no answers left to train on"),
        ("actor", ["--max_length", "3"], 3, "no answers left to train on"),
        ("refiner", ["--data", "nowhere"], 2, "no run and no file at nowhere"),
        ("actor", ["--tusk", "x"], 2, "no option --tusk; did you mean --task?"),
    ],
)
def test_bad_input_in_one_line(
    task: str,
    more: list[str],
    code: int,
    said: str,
    run: Path,
    model: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    assert train(task, run, model, tmp_path / "out", *more) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and len(error.splitlines()) == 1


def test_a_file_names_the_task_too(run: Path, model: Path, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "sft.yaml"
    config.write_text("task: refiner\nmax_steps: 1\n")
    line = ["--data", str(run), "--model", str(model), "--output", str(tmp_path / "out")]
    assert sft.main([*line, "--config", str(config)]) == 0
    assert record(tmp_path / "out")["task"] == "refiner"
    config.write_text("task: judge\n")
    assert sft.main([*line, "--config", str(config)]) == 2
    assert "--task is actor or refiner, not 'judge'" in capsys.readouterr().err


def test_the_output_of_another_task_is_refused(
    model: Path, chats: Path, tmp_path: Path, capsys: Any
) -> None:
    assert train("actor", chats, model, tmp_path / "out") == 0
    assert train("actor", chats, model, tmp_path / "out") == 0
    assert train("refiner", chats, model, tmp_path / "out") == 5
    assert "task: 'actor' -> 'refiner'" in capsys.readouterr().err


def told(main: Any, *argv: str, capsys: Any) -> str:
    with pytest.raises(SystemExit):
        main(argv)
    return str(capsys.readouterr().out)


def test_no_other_job_has_tasks(run: Path, model: Path, tmp_path: Path, capsys: Any) -> None:
    assert "--task ROLE" in told(sft.main, "--help", capsys=capsys)
    for main in (dpo.main, rft.main):
        assert "--task ROLE" not in told(main, "--help", capsys=capsys)
    line = ["--data", str(run), "--model", str(model), "--output", str(tmp_path / "out")]
    assert dpo.main([*line, "--task", "actor"]) == 2
    assert "no option --task" in capsys.readouterr().err
    assert sft.main(line) == 3, "without a task the pairs of a run are meant"
    assert "no chats left to train on" in capsys.readouterr().err
