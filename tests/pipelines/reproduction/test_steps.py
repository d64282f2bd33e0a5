"""The steps of a reproduction: their order, names, models and commands."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import evaluate, iterate_options
from pipelines.execution import options
from pipelines.iterations import ACTOR, REFINER
from pipelines.reproduction import seed_folder
from pipelines.reproduction.record import Record
from pipelines.reproduction.settings import SCALES, Settings, path_of, read
from pipelines.reproduction.step import Step
from pipelines.reproduction.steps import steps
from schemas.names import VARIANT
from spar_core.methods import METHODS
from spar_core.stages.judge import JUDGE
from spar_core.stages.sample import SAMPLE
from spar_core.stages.writers import WRITERS
from terminal.exits import NOTHING_LEFT
from tests import committed


@pytest.fixture(autouse=True)
def first_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled models, without any being merged."""
    named = {ACTOR.name: "base.gguf", REFINER.name: "refiner.gguf"}
    monkeypatch.setattr(seed_folder, "bundled", lambda: named)


def settings_of(scale: str) -> tuple[Settings, dict[str, object]]:
    return read(path_of(scale))


def made(folder: Path, scale: str = "cpu", seeds: int = 1) -> dict[str, Step]:
    settings, content = settings_of(scale)
    record = Record.of(folder, scale, content)
    found = list(steps(folder, settings, record, "", seeds))
    assert len({step.name for step in found}) == len(found), "a name is a key"
    return {step.name: step for step in found}


def words(step: Step) -> dict[str, str]:
    """The options of a step's command."""
    command = step.command()
    assert command
    options = [n for n, word in enumerate(command) if word.startswith("--")]
    return {command[n]: command[n + 1] for n in options if n + 1 < len(command)}


@pytest.mark.parametrize("scale", SCALES)
def test_every_evaluation_has_a_place_of_its_own(tmp_path: Path, scale: str) -> None:
    found = [step.evaluation for step in made(tmp_path, scale, seeds=2).values() if step.evaluation]
    places = Counter((each["run"], each["variant"]) for each in found)
    assert max(places.values()) == 1
    for each in found:
        assert not each["variant"] or VARIANT.fullmatch(each["variant"])
        assert not Path(each["run"]).is_absolute()
    measures = {each["measure"] for each in found}
    assert {"taught", "unseen", "ifeval", "refinement", "agreement", "decoding"} <= measures


def test_names_can_be_grouped(tmp_path: Path) -> None:
    for name in made(tmp_path):
        assert re.fullmatch(r"(all seeds|seed 1): [^:]+: .+", name), name


def test_later_seeds_do_the_main_line_and_independent_pairs_alone(tmp_path: Path) -> None:
    found = [step.evaluation for step in made(tmp_path, seeds=2).values() if step.evaluation]
    lines = {seed: {e["line"] for e in found if e["seed"] == seed} for seed in (1, 2)}
    assert lines[2] == {"base", "bootstrap", "spar", "independent"}
    assert lines[1] == lines[2] | settings_of("cpu")[0].comparisons.keys()


def test_main_line_goes_on_iteration_by_iteration(tmp_path: Path) -> None:
    found = made(tmp_path)
    main = [step for name, step in found.items() if ": main line: " in name]
    assert [words(step)["--iterations"] for step in main] == ["1", "2", "3"]
    given = [words(step) for step in main]
    assert all(each["--seed"] == "1" and each["--engine"] == "llamacpp" for each in given)
    assert "--learning_rate" in given[0]["--dpo_args"]
    order = list(found)
    for earlier, later in (
        ("seed 1: evaluation: taught-base-0", main[0].name),
        (main[0].name, "seed 1: evaluation: taught-bootstrap-0"),
        ("seed 1: evaluation: taught-spar-1", main[1].name),
        (main[2].name, "seed 1: data round: independent 1"),
    ):
        assert order.index(earlier) < order.index(later)


def test_comparisons_share_the_first_samples_and_start_from_the_first_actor(
    tmp_path: Path,
) -> None:
    found = made(tmp_path)
    models = tmp_path / "seed-1/spar/models"
    for role in ("actor", "refiner"):
        (models / f"{role}-1").mkdir(parents=True)
    (models / "iteration-0.json").write_text('{"trained": {"actor": [], "refiner": []}}')
    committed.commit(tmp_path / "seed-1/spar", "pairs", [committed.pair(1, "spar", "greedy")])
    greedy = words(found["seed 1: data round: greedy 1"])
    assert greedy["--run"] == str(tmp_path / "seed-1/spar")
    assert (greedy["--variant"], greedy["--strategy"]) == ("greedy", "greedy")
    assert greedy["--actor_model"] == str(models / "actor-1.gguf")
    assert greedy["--refiner_model"] == str(models / "refiner-1.gguf")
    trained = words(found["seed 1: DPO: greedy 1"])
    assert trained["--model"] == str(models / "actor-1")
    assert (trained["--method"], trained["--variant"]) == ("spar", "greedy")
    second = words(found["seed 1: data round: independent 2"])
    assert second["--run"] == str(tmp_path / "seed-1/independent")
    assert second["--prompts"] == str(tmp_path / "seed-1/independent-2.jsonl")
    assert second["--actor_model"] == str(tmp_path / "seed-1/models/independent-2.gguf")
    whole = words(found["seed 1: data round: one_round 1"])
    assert whole["--limit"] == str(3 * int(greedy["--limit"]))


def test_where_a_training_learns_nothing_the_model_stays(tmp_path: Path) -> None:
    settings, content = settings_of("cpu")
    record = Record.of(tmp_path, "cpu", content)
    found = {step.name: step for step in steps(tmp_path, settings, record, "", 1)}
    record.done("seed 1: DPO: independent 1", [], 0, 0, None)
    record.done("seed 1: DPO: independent 2", [], 0, NOTHING_LEFT, None)
    assert found["seed 1: GGUF: independent 1"].command()
    assert found["seed 1: GGUF: independent 2"].command() is None
    assert found["seed 1: DPO: independent 3"].command() is None, "there are no pairs"
    run = tmp_path / "seed-1/independent"
    committed.commit(run, "pairs", [committed.pair(1, "independent")], iteration=3)
    third = words(found["seed 1: data round: independent 3"])
    assert third["--actor_model"] == str(tmp_path / "seed-1/models/independent-2.gguf")
    trained = words(found["seed 1: DPO: independent 3"])
    assert trained["--model"] == str(tmp_path / "seed-1/models/independent-2")


def test_sets_without_prompts_are_left_out(tmp_path: Path) -> None:
    settings, content = settings_of("cpu")
    prompts = replace(settings.prompts, validation=5, unseen=0, validation_unseen=5)
    record = Record.of(tmp_path, "cpu", content)
    found = list(steps(tmp_path, replace(settings, prompts=prompts), record, "", 1))
    names = {step.name.rpartition(" ")[2] for step in found if step.name.startswith("all seeds")}
    assert names == {"validation", "taught", "validation_unseen"}
    measures = {step.evaluation["measure"] for step in found if step.evaluation}
    assert {"validation", "validation_unseen"} < measures and "unseen" not in measures
    kinds = {
        step.name.rpartition(" ")[2]: words(step)["--kinds"].split(",")
        for step in found
        if step.name.startswith("all seeds")
    }
    assert kinds["validation"] == kinds["taught"] == settings.kinds.taught
    assert kinds["validation_unseen"] == settings.kinds.unseen


def test_engines_of_gpus_are_given_checkpoints(tmp_path: Path) -> None:
    found = made(tmp_path, "gpu")
    assert not [name for name in found if ": GGUF: " in name]
    second = words(found["seed 1: data round: independent 2"])
    assert second["--actor_model"] == str(tmp_path / "seed-1/models/independent-2")
    base = words(found["seed 1: evaluation: taught-base-0"])
    assert base["--actor_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"


def understood(command: list[str]) -> None:
    """Have a job look at its command line, as far as that needs no files."""
    name, argv = command[2], command[3:]
    if name == "pipelines.refine":
        options.parse("refine", "", METHODS, argv)
    elif name == "pipelines.evaluate":
        options.parse(
            *("evaluate", "", evaluate.METHODS, argv),
            choice="decoder",
            default_run="",
            add=evaluate._add,
        )
    elif name == "pipelines.evolve":
        options.parse("evolve", "", WRITERS, argv, choice="writer", default_run="")
    elif name in ("pipelines.sample", "pipelines.judge"):
        stage = SAMPLE if name == "pipelines.sample" else JUDGE
        options.parse(stage.name, "", {stage.name: (stage,)}, argv)


@pytest.mark.parametrize("scale", SCALES)
def test_jobs_understand_what_they_are_given(tmp_path: Path, scale: str) -> None:
    """Of the main line's options some are left out where a method has no such stage."""
    seen = Counter[str]()
    for name, step in made(tmp_path, scale).items():
        command = step.command()
        if command and command[2].startswith("pipelines."):
            understood(command)
            seen[command[2]] += 1
        if name == "seed 1: data round: independent 1" and scale != "8b":
            assert "--branch" not in words(step) and words(step)["--checks"] == "decide"
    assert seen.keys() >= {f"pipelines.{job}" for job in ("refine", "evaluate", "judge", "sample")}


def test_main_line_is_understood_by_iterate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options of every scale that runs here are ones that the job has."""
    first = tmp_path / "first.gguf"
    first.write_text("GGUF")
    monkeypatch.setattr(
        iterate_options, "bundled", lambda: {"actor": str(first), "refiner": str(first)}
    )
    command = made(tmp_path)["seed 1: main line: iteration 2"].command()
    assert command
    loop = iterate_options.understand("", command[3:])
    assert loop.iterations == 2 and loop.bootstrap and loop.models.engine == "llamacpp"
