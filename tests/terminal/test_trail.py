"""The commands that jobs name as the next ones."""

from __future__ import annotations

import shlex

from terminal import trail
from terminal.interpreter import python

PYTHON = python()


def test_one_command_or_several_end_a_job() -> None:
    assert trail.following("a") == "Next: a"
    assert trail.following("a", "b", "c") == "Next: a\nThen: b\nThen: c"


def test_folders_are_as_a_shell_takes_them() -> None:
    for command in (trail.report("it's a run"), trail.compare("it's a run")):
        assert "it's a run" in shlex.split(command)


def test_page_and_checkpoint_lie_beside_a_run_on_a_disk_alone() -> None:
    assert trail.report("runs/mine/").endswith("--run runs/mine/ --output runs/mine.html")
    assert trail.report("gs://b/mine").endswith("--run gs://b/mine --output mine.html")
    assert trail.dpo("runs/mine", 1).endswith("--model FOLDER --output runs/mine/models/actor-2")
    assert trail.dpo("gs://b/mine", 3).endswith("--model FOLDER --output models/actor-4")


def test_a_training_takes_the_pairs_that_are_meant() -> None:
    said = trail.dpo("runs/mine", 1, ["--where", "similarity > 0.6"])
    assert said == (
        f"{PYTHON} -m training.dpo --data runs/mine --where 'similarity > 0.6' --model FOLDER "
        "--output runs/mine/models/actor-2"
    )
    assert trail.sft("runs/mine", "refiner", 0).endswith("--output runs/mine/models/refiner-1")


def test_an_evaluation_names_its_iteration_and_whose_answers_are_compared() -> None:
    engine = ["--engine_url", trail.served()]
    assert trail.evaluate("r", 1, engine) == (
        f"{PYTHON} -m pipelines.evaluate --run r --benchmark custom --engine_url "
        "http://localhost:8001"
    )
    said = trail.evaluate("r", 2, engine, ["--data", "my.csv"], against=1)
    assert said.endswith(
        "--benchmark custom --data my.csv --engine_url http://localhost:8001 --iteration 2 "
        "--against 1 --judge_url URL"
    )


def test_new_models_have_ports_of_their_own() -> None:
    assert trail.serve("a b") == "vllm serve 'a b' --port 8001"
    assert trail.serve("m", is_refiner=True).endswith(trail.served(is_refiner=True)[-4:])
