"""Iterations: prompts dealt, rounds and trainings in their order, stopped and gone on with."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pipelines import iterate
from pipelines.execution import child
from pipelines.execution.intake import deal
from schemas import manifest
from spar_core.dataset import Dataset
from spar_core.engine.spec import EngineSpec, identity
from terminal.exits import InputError
from tests.pipelines import rounds, standins
from tests.pipelines.children import (
    Children,
    flat,
    is_free,
    settle,
    wait_for,
    wait_until_free,
)
from tests.pipelines.gates import finish
from tests.pipelines.processes import Process
from tests.pipelines.rounds import check, failures, query, write_prompts

NAMES = [f"prompt {n}" for n in range(11)]
EASY = [f"An easy one, number {n}." for n in range(4)]
"""Answered well at once, so that there is nothing to learn from them."""


def deal_to(
    run: Path, iterations: Sequence[int], prompts: Sequence[str], limit: int | None = None
) -> int:
    """Deal a file of prompts; returns how many were added."""
    files = write_prompts(run.parent / "in.jsonl", prompts)
    return deal(str(run), iterations, str(files), limit).added


def dealt(run: Path) -> dict[int, list[str]]:
    """The prompts of each iteration, in their order."""
    held: dict[int, list[str]] = {}
    for iteration, position, prompt in query(
        run, "select iteration, position, prompt from prompts order by iteration, position"
    ):
        held.setdefault(iteration, []).append(prompt)
        assert position == len(held[iteration]) - 1
    assert len(set().union(*held.values())) == sum(map(len, held.values())), "one in two iterations"
    return held


def test_prompts_are_dealt_in_turn(tmp_path: Path) -> None:
    assert deal_to(tmp_path / "run", [1, 2, 3], NAMES) == 11
    assert dealt(tmp_path / "run") == {1: NAMES[::3], 2: NAMES[1::3], 3: NAMES[2::3]}


def test_the_same_prompts_again_and_more_of_them_move_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert deal_to(run, [1, 2, 3], NAMES[:7]) == 7
    held = rounds.committed(run)
    assert deal_to(run, [1, 2, 3], NAMES[:7]) == 0
    assert rounds.committed(run) == held
    assert deal_to(run, [1, 2, 3], NAMES) == 4
    assert dealt(run) == {1: NAMES[::3], 2: NAMES[1::3], 3: NAMES[2::3]}


def test_a_limit_is_for_each_iteration(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert deal_to(run, [1, 2], NAMES, limit=2) == 4
    assert dealt(run) == {1: [NAMES[0], NAMES[2]], 2: [NAMES[1], NAMES[3]]}
    assert deal_to(run, [1, 2], NAMES, limit=2) == 0
    assert deal_to(run, [1, 2], NAMES, limit=3) == 2
    assert dealt(run) == {1: NAMES[:6:2], 2: NAMES[1:6:2]}


def test_new_prompts_go_to_the_iterations_ahead(tmp_path: Path) -> None:
    run = tmp_path / "run"
    deal_to(run, [1, 2], NAMES[:5])
    assert deal_to(run, [3, 4], NAMES, limit=2) == 4
    assert dealt(run) == {1: NAMES[:5:2], 2: NAMES[1:5:2], 3: NAMES[5:9:2], 4: NAMES[6:9:2]}


def test_a_deal_that_was_cut_off_ends_as_it_would_have(tmp_path: Path) -> None:
    run = tmp_path / "run"
    deal_to(run, [1, 2, 3], NAMES)
    lost = Dataset(str(run), 2)
    lost.retract(list(lost.entries()))
    assert set(dealt(run)) == {1, 3}
    deal_to(run, [1, 2, 3], NAMES)
    assert dealt(run) == {1: NAMES[::3], 2: NAMES[1::3], 3: NAMES[2::3]}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_in_no_prompt_is_in_two_iterations(tmp_path: Path, seed: int) -> None:
    run, dice = tmp_path / "run", random.Random(seed)
    known: set[str] = set()
    for round_number in range(4):
        iterations = range(round_number // 2 + 1, round_number + 3)
        prompts = [f"prompt {dice.randrange(90)}" for _ in range(60)]
        deal_to(run, iterations, prompts)
        known |= set(prompts)
        held = dealt(run)
        assert set().union(*held.values()) == known
    sizes = [len(held[iteration]) for iteration in iterations]
    assert max(sizes) - min(sizes) <= max(1, len(held[min(iterations)]) - min(sizes))


def test_bad_rows_are_failures_of_the_first_iteration(tmp_path: Path) -> None:
    path = write_prompts(tmp_path / "in.jsonl", ["a", "", "b", "a", "c"])
    deal(str(tmp_path / "run"), [1, 2], str(path), None)
    assert dealt(tmp_path / "run") == {1: ["a", "c"], 2: ["b"]}
    rows = query(tmp_path / "run", "select iteration, error from failures order by error")
    assert rows == [(1, "empty_prompt")]


def test_too_few_prompts_are_refused_before_any_is_added(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"iteration 3 gets no prompt: .* has 2 different ones"):
        deal_to(run, [1, 2, 3], NAMES[:2])
    assert not manifest.read(Dataset(str(run), 1).fs, str(run))
    deal_to(run, [1, 2], NAMES)
    with pytest.raises(InputError, match=r"iteration 3 gets no prompt: .* 0 are new to the run"):
        deal_to(run, [3], NAMES)


WHOLE = [
    "refine 1 base base",
    "dpo 1 base actor-2",
    "rft 1 base refiner-2",
    "refine 2 actor-2 refiner-2",
    "dpo 2 actor-2 actor-3",
    "rft 2 refiner-2 refiner-3",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with stand-ins, a model `base` and a file of prompts."""
    return settle(tmp_path / "place", monkeypatch)


SMALL = ["--iterations", "2", "--prompts", "prompts.jsonl", "--responses", "2", "--votes", "3"]


def run_it(*more: str, model: Sequence[str] = ("--model", "base")) -> int:
    return iterate.main(["--run", "run", *SMALL, *model, *more])


def test_iterations_follow_each_other(
    working: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dpo_args", "--max-steps 2 --beta=0.2", "--rft-args=--x 'a b'"]
    assert run_it(*arguments) == 0
    assert working.done() == WHOLE
    assert dealt(place / "run") == {1: rounds.PROMPTS[:4:2], 2: rounds.PROMPTS[1:4:2]}
    check("run", responses=2)
    for command in working.commands:
        if command[2] == "pipelines.refine":
            assert "--prompts" not in command
            assert command[command.index("--responses") + 1] == "2"
    dpo, rft = working.commands[1], working.commands[2]
    assert dpo[-3:] == ["--max-steps", "2", "--beta=0.2"]
    assert rft[-2:] == ["--x", "a b"]
    assert dpo[dpo.index("--data") + 1] == "run"
    models = query("run", "select distinct iteration, model from responses order by all")
    assert [(t, Path(model).name) for t, model in models] == [(1, "base"), (2, "actor-2")]
    judges = query("run", "select distinct iteration, model from judgements order by all")
    assert [(t, Path(model).name) for t, model in judges] == [(1, "base"), (2, "refiner-2")]

    capsys.readouterr()
    held, asked = rounds.files(place / "run"), len(working.commands)
    assert run_it(*arguments) == 0
    assert rounds.files(place / "run") == held
    assert len(working.commands) == asked, "what is done is not started again"
    said = capsys.readouterr().out
    assert "all 2 iterations are done" in said
    assert_table(said)


def assert_table(said: str, run: str = "run") -> None:
    """The table at the end tells what is in the run and in the trainings' records."""
    lines = [line.strip("│ ").split("│") for line in said.splitlines() if line.startswith("│")]
    held = {name.strip(): [value.strip() for value in values] for name, *values in lines}
    per = "group by iteration order by iteration"
    for name, sql in {
        "prompts": f"select count(*) from prompts {per}",
        "trees solved": f"select count(*) filter (solved) from trees {per}",
        "pairs": f"select count(*) from pairs {per}",
        "similarity": f"select round(avg(similarity), 3) from pairs {per}",
        "responses judged yes": "select round(count(*) filter (verdict = 'yes') / count(*), 3) "
        f"from judgements {per}",
    }.items():
        assert held[name] == [str(value) for (value,) in query(run, sql)], name
    assert held["DPO steps"] == ["12", "12"]
    assert held["DPO loss"] == ["0.6123", "0.6123"]
    assert held["DPO accuracy"] == ["0.75", "0.75"]
    assert held["DPO margin"] == ["0.25", "0.25"]
    assert held["RFT samples"] == ["5", "5"]
    assert held["RFT loss"] == ["1.5", "1.5"]
    assert held["next actor"] == ["actor-2", "actor-3"]
    assert held["next refiner"] == ["refiner-2", "refiner-3"]
    assert all(float(minutes) < 10 for minutes in held["minutes"])


def test_actor_and_refiner_may_begin_apart(children: Children, place: Path) -> None:
    standins.checkpoint(place / "judge", "judge")
    children.ends = {3: 4}
    assert run_it(model=["--model", "base", "--refiner_model", "judge"]) == 4
    assert children.done()[:3] == [
        "refine 1 base judge",
        "dpo 1 base actor-2",
        "rft 1 judge refiner-2",
    ]


WITH_LLAMA_CPP = [
    "refine 1 small.gguf judge.gguf",
    "gguf_checkpoint small.gguf first-actor",
    "dpo 1 first-actor actor-2",
    "checkpoint_gguf actor-2 actor-2.gguf",
    "gguf_checkpoint judge.gguf first-refiner",
    "rft 1 first-refiner refiner-2",
    "checkpoint_gguf refiner-2 refiner-2.gguf",
    "refine 2 actor-2.gguf refiner-2.gguf",
    "dpo 2 actor-2 actor-3",
    "checkpoint_gguf actor-3 actor-3.gguf",
    "rft 2 refiner-2 refiner-3",
    "checkpoint_gguf refiner-3 refiner-3.gguf",
]


def test_llama_cpp_is_given_each_new_model_as_a_gguf_file(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("small", "judge"):
        (place / f"{name}.gguf").write_text(name)
    how = ["--engine", "llamacpp"]
    models = ["--model", "small.gguf", "--refiner_model", "judge.gguf"]
    children.ends = {3: 4}
    assert run_it(*how, model=models) == 4
    assert children.done() == WITH_LLAMA_CPP[:4]
    children.commands.clear()
    children.ends = {}
    assert run_it(*how, model=models) == 0
    assert children.done() == WITH_LLAMA_CPP[2:], "the training finds itself done"
    told = capsys.readouterr().out
    assert "refiner: run/models/refiner-3.gguf" in told
    like = (place / "run/models/refiner-3.gguf").read_text()
    assert like == "run/models/refiner-3 like judge.gguf"


def test_llama_cpp_begins_with_the_bundled_models_where_none_are_named(
    children: Children, place: Path
) -> None:
    children.ends = {0: 4}
    assert run_it("--engine", "llamacpp", model=[]) == 4
    [what] = children.done()
    assert re.fullmatch(r"refine 1 SmolLM2\S+Q4_1-\w+-1.gguf SmolLM2\S+-adapter-\S+.gguf", what)


def test_stopped_at_any_step_it_goes_on_there(children: Children, place: Path) -> None:
    for number, what in enumerate(WHOLE):
        children.commands.clear()
        children.ends = {1 if number else 0: 4}
        assert run_it() == 4
        assert children.done() == WHOLE[max(0, number - 1) : number + 1], what
    children.commands.clear()
    children.ends = {}
    assert run_it() == 0
    assert children.done() == WHOLE[-1:]


@pytest.mark.parametrize(
    ("number", "ends", "code", "said"),
    [
        (0, 2, 2, ""),
        (0, 4, 4, ""),
        (3, 5, 5, ""),
        (1, 2, 2, ""),
        (1, 4, 4, ""),
        (2, 5, 5, ""),
        (0, 1, 4, "the data round of iteration 1 ended with code 1: run the same command again"),
        (2, -9, 4, "training.rft of iteration 1 was killed (SIGKILL): run the same command again"),
    ],
)
def test_a_child_that_fails_ends_the_job_with_its_code(
    children: Children,
    capsys: pytest.CaptureFixture[str],
    number: int,
    ends: int,
    code: int,
    said: str,
) -> None:
    children.ends = {number: ends}
    assert run_it() == code
    assert len(children.commands) == number + 1
    error = capsys.readouterr().err
    assert said in error
    assert bool(error) == bool(said), "the child has said it"
    assert len(error.splitlines()) <= 1


def test_failures_are_told_by_the_exit_code_and_stop_nothing(
    working: Children, place: Path
) -> None:
    write_prompts(place / "prompts.jsonl", [*rounds.PROMPTS[:4], ""])
    assert run_it() == 3
    assert working.done() == WHOLE
    assert failures("run") == ["empty_prompt"]
    assert run_it() == 3
    assert len(working.commands) == len(WHOLE)


def test_with_nothing_to_learn_from_the_models_stay(
    working: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Iteration 1 gives nothing, iteration 2 does."""
    mixed = [prompt for pair in zip(EASY, rounds.PROMPTS, strict=False) for prompt in pair]
    write_prompts(place / "prompts.jsonl", mixed)
    assert run_it() == 0
    assert working.done() == [
        "refine 1 base base",
        "refine 2 base base",
        "dpo 2 base actor-3",
        "rft 2 base refiner-3",
    ]
    said = capsys.readouterr().out
    assert "iteration 1 of 2: no pairs to train on, the actor stays base" in said
    assert "iteration 1 of 2: no refiner samples to train on, the refiner stays base" in said
    assert "base, as before" in said
    assert run_it() == 0
    assert len(working.commands) == 4


def test_pairs_of_which_none_can_be_trained_on_leave_the_actor_as_it_is(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    children.ends = {1: 3, 3: 4}
    assert run_it() == 4
    assert children.done() == [*WHOLE[:3], "refine 2 base refiner-2"]
    assert "no pairs to train on, the actor stays base" in capsys.readouterr().out


def test_a_training_that_leaves_no_checkpoint_is_not_gone_on_from(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    children.ends = {1: 0}
    assert run_it() == 4
    assert "training.dpo left no checkpoint in run/models/actor-2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "steps"),
    [
        ('{"done": true}', ""),
        ('{"result": {"steps": "many", "final": null}}', ""),
        ('{"result": {"steps": 3, "final": {"loss": NaN}}}', "3"),
        ("[1]", ""),
        ("half a rec", ""),
    ],
)
def test_a_training_may_say_little_of_itself(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str], record: str, steps: str
) -> None:
    children.ends = {3: 4}
    assert run_it() == 4
    (place / "run/models/actor-2/training.json").write_text(record)
    assert run_it("--iterations", "1") == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "DPO steps" in line]
    assert line.split("│")[2].strip() == steps


def test_other_settings_are_refused(
    children: Children, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    children.ends = {3: 4}
    assert run_it("--dpo_args", "--beta 0.2") == 4
    standins.checkpoint(place / "other", "other")
    held, started = rounds.files(place / "run"), len(children.commands)
    for more, said in (
        ([], "'--beta 0.2' -> ''"),
        (["--dpo_args", "--beta 0.3"], "'--beta 0.2' -> '--beta 0.3'"),
        (["--dpo_args", "--beta 0.2", "--rft_args", "--x"], "training.rft: '' -> '--x'"),
        (["--dpo_args", "--beta 0.2", "--votes", "5"], "judge.votes: 3 -> 5"),
        (["--dpo_args", "--beta 0.2", "--seed", "5"], "seed: 0 -> 5"),
        (["--dpo_args", "--beta 0.2", "--refiner_model", "other"], "refiner.model: 'base' ->"),
    ):
        assert run_it(*more) == 5
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
    assert rounds.files(place / "run") == held
    assert len(children.commands) == started


def test_trainings_check_their_arguments_before_any_work(children: Children) -> None:
    assert run_it("--dpo_args", "--beta 0.2", "--rft_args", "--no_such") == 2
    assert not children.commands
    assert ["training.dpo" in checked for checked in children.checked] == [True, False]
    assert run_it("--dpo_args", "--beta 0.2") == 0
    assert run_it("--dpo_args", "--beta 0.2") == 0
    assert len(children.checked) == 3, "once, and only those that were given any"


def test_arguments_that_a_training_refused_can_be_mended(children: Children) -> None:
    children.ends = {1: 2}
    assert run_it("--dpo_args", "--bata 0.2") == 2
    children.ends = {}
    assert run_it("--dpo_args", "--beta 0.2") == 0
    assert children.done() == [*WHOLE[:2], *WHOLE[1:]]


def test_more_iterations_later_take_new_prompts(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it() == 0
    held = rounds.committed(place / "run")
    assert run_it("--iterations", "3") == 2
    assert "iteration 3 gets no prompt" in capsys.readouterr().err
    assert iterate.main(["--run", "run", "--model", "base", "--iterations", "3"]) == 5
    again = ["--run", "run", "--model", "base", "--responses", "2", "--votes", "3"]
    assert iterate.main([*again, "--iterations", "3"]) == 2
    assert "iteration 3 of run has no prompts yet: give --prompts" in capsys.readouterr().err
    assert len(children.commands) == len(WHOLE)

    write_prompts(place / "prompts.jsonl", rounds.PROMPTS[:6])
    assert run_it("--iterations", "3") == 0
    assert children.done()[len(WHOLE) :] == [
        "refine 3 actor-3 refiner-3",
        "dpo 3 actor-3 actor-4",
        "rft 3 refiner-3 refiner-4",
    ]
    assert dealt(place / "run")[3] == rounds.PROMPTS[4:6]
    now = rounds.committed(place / "run")
    assert {name: now[name] for name in held} == held
    assert run_it() == 0, "fewer iterations: what is done stays as it is"


def test_without_prompts_the_run_goes_on_with_its_own(children: Children) -> None:
    children.ends = {1: 4}
    assert run_it() == 4
    again = ["--run", "run", "--model", "base", "--responses", "2", "--votes", "3"]
    assert iterate.main([*again, "--iterations", "2"]) == 0
    assert children.done() == [*WHOLE[:2], *WHOLE[1:]]


def test_a_limit_holds_in_every_iteration(children: Children, place: Path) -> None:
    assert run_it("--limit", "1") == 0
    assert dealt(place / "run") == {1: rounds.PROMPTS[:1], 2: rounds.PROMPTS[1:2]}


@pytest.mark.slow
def test_a_run_on_an_object_store_is_iterated_and_gone_on_with(
    working: Children, place: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = f"{bucket}/{uuid.uuid4().hex}"
    argv = ["--run", run, *SMALL, "--model", "base", "--models", "models"]
    working.ends = {4: 4}
    assert iterate.main(argv) == 4
    working.ends = {}
    assert iterate.main(argv) == 0
    assert working.done() == [*WHOLE[:5], *WHOLE[4:]]
    check(run, responses=2)
    said = capsys.readouterr().out
    assert_table(said, run)

    assert run_it("--models", "of-disk") == 0
    for table, key in rounds.IDS.items():
        ids = f"select iteration, {key} from {table} order by all"
        assert query(run, ids) == query("run", ids) != []


def test_checkpoints_may_lie_elsewhere(children: Children, place: Path) -> None:
    assert run_it("--models", "elsewhere") == 0
    assert sorted(path.name for path in (place / "elsewhere").glob("*-[23]")) == [
        *("actor-2", "actor-3", "refiner-2", "refiner-3")
    ]
    assert not (place / "run/models").exists()


def test_old_checkpoints_may_go_and_the_needed_one_is_missed(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    children.ends = {4: 4}
    assert run_it() == 4
    shutil.rmtree(place / "run/models/actor-2")
    assert run_it() == 2
    error = capsys.readouterr().err
    assert "run/models/actor-2 is gone, the actor of iteration 2" in error
    standins.checkpoint(place / "run/models/actor-2", "back again")
    children.ends = {}
    assert run_it() == 0
    shutil.rmtree(place / "run/models/actor-2")
    assert run_it() == 0


def test_a_checkpoint_that_was_exchanged_is_refused(
    place: Path, children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    before = identity(EngineSpec("vllm", "base"))
    assert run_it("--iterations", "1", "--limit", "1") == 0
    standins.checkpoint(place / "base", "another")
    assert identity(EngineSpec("vllm", "base")) != before
    assert run_it("--limit", "1") == 5
    assert "actor.content" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--respones", "3"], "no option --respones; did you mean --responses?"),
        (["--votes", "0"], "--votes: must be a whole number, at least 1, not '0'"),
        (["--iterations", "0"], "--iterations: must be a whole number, at least 1, not '0'"),
        (["--iterations", "x"], "--iterations: must be a whole number"),
        (["--iteration", "2"], "--iterations N"),
        (["--engine", "llamacpp"], "no GGUF file at 'base' to begin with as the actor"),
        (["--engine", "openai"], "the engine of this job is vllm or llamacpp"),
        (["--actor_engine", "llamacpp"], "the engine of this job is vllm or llamacpp"),
        (["--refiner_adapter", "bundled"], "not for this job, whose trainings change the model"),
        (["--engine_url", "http://localhost:1"], "a server at --engine_url stays with its model"),
        (["--model", ""], "no actor to begin with: give --model"),
        (["--model", "/no/such"], "no model folder at /no/such"),
        (["--model", "no/such/folder"], "no model folder at no/such/folder"),
        (["--model", "empty"], "no checkpoint in empty: it has no config.json"),
        (["--refiner_model", "model.gguf"], "model.gguf is a file"),
        (["--dpo_args", "--model x"], "--dpo_args must not hold --model"),
        (["--rft_args", "--output-dir=x"], "--rft_args must not hold --output_dir"),
        (["--dpo_args", "'open"], "No closing quotation"),
        (["--launch", "no-such-program --x"], "--launch: no program no-such-program"),
        (["--run", "memory://run"], "--models DIR is needed"),
        (["--models", "gs://bucket/models"], "--models must be a local folder"),
        (["--models", "model.gguf"], "cannot write to model.gguf"),
        (["--detach"], "not for this job, which trains between its rounds"),
        (["--attach"], "not for this job, which trains between its rounds"),
        (["--prompts", "nothing.jsonl"], "no such file: nothing.jsonl"),
        (["--decontaminate", "nothing.jsonl"], "--decontaminate: nothing.jsonl: no such file"),
        (["--prompt_column", "no"], "prompts.jsonl:1: no field `no` (fields: prompt)"),
        (["--iterations", "5"], "iteration 5 gets no prompt: prompts.jsonl has 4 different ones"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_before_any_work(
    children: Children,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    said: str,
) -> None:
    (place / "empty").mkdir()
    (place / "model.gguf").write_text("GGUF")
    assert run_it(*argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert len(error.splitlines()) == 1
    assert not children.commands
    assert not list(place.glob("run/_manifest/*/*/*.json"))


def test_help_explains_all_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        iterate.main(["--help"])
    assert ended.value.code == 0
    said = flat(capsys.readouterr().out)
    for option in ("--iterations", "--dpo_args", "--rft_args", "--launch", "--models", "--votes"):
        assert option in said
    assert "default: runs/iterate" in said


def test_a_launcher_starts_the_trainings_only(children: Children) -> None:
    assert run_it("--launch", "env A=1", "--iterations", "1") == 0
    starts = [command[: command.index("-m")] for command in children.commands]
    assert starts[0][0].endswith("python") or "python" in starts[0][0]
    assert starts[1:] == [["env", "A=1"]] * 2


def test_ctrl_c_between_two_steps_stops_there(
    children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(command: Sequence[str], keep: Sequence[int] = ()) -> int:
        code = children(command, keep)
        os.kill(os.getpid(), signal.SIGINT)
        return code

    monkeypatch.setattr(child, "run", pressed)
    for done in WHOLE[:2]:
        children.commands.clear()
        assert run_it() == 4
        assert children.done() == [done]
        error = capsys.readouterr().err
        assert error == "error: interrupted: run the same command again to go on\n"


def test_a_broken_record_is_named(
    children: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "run/models").mkdir(parents=True)
    (place / "run/models/iteration-1.json").write_text('{"refined": ')
    assert run_it() == 2
    assert "run/models/iteration-1.json is no record" in capsys.readouterr().err


# From here on in processes of their own, with an engine that plays the models.


@pytest.fixture
def begin(place: Path) -> Iterator[Callable[..., Process]]:
    """Starts the job; it does not outlive the test."""
    begun: list[Process] = []

    def start(*more: str) -> Process:
        begun.append(standins.start(place, "--run", "run", "--model", "base", *SMALL, *more))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_and_interrupted_in_its_children_it_ends_with_everything_done_once(
    begin: Callable[..., Process], place: Path
) -> None:
    """SIGKILL of the job alone during DPO; Ctrl-C at the terminal during RFT; then to the end."""
    (place / "dpo.hang").touch()
    process = begin()
    wait_for(place / "dpo.hangs", process)
    code, _, error = finish(begin())
    assert code == 2
    who = f"process {process.pid} on {socket.gethostname()}"
    said = f"another process is working on the run run: {who}; wait for it, or stop it with Ctrl-C"
    assert error == f"error: {said}\n"
    assert not is_free(place / "run")
    process.kill()
    wait_until_free(place / "run")

    (place / "dpo.hang").unlink()
    (place / "rft.hang").touch()
    process = begin()
    wait_for(place / "rft.hangs", process)
    os.killpg(process.pid, signal.SIGINT)
    code, out, error = finish(process)
    assert code == 4
    assert error == "error: rft was interrupted\n", "said once, by the one who knows"
    assert "a data round" not in out, "done before"

    (place / "rft.hang").unlink()
    code, out, error = finish(begin())
    assert (code, error) == (0, "")
    check(place / "run", responses=2)
    assert [name for name, *_ in standins.trainings(place)] == [
        *("dpo", "dpo", "rft", "rft", "dpo", "rft")
    ]
    models = query(place / "run", "select distinct iteration, model from responses order by all")
    assert models == [(1, "base"), (2, "actor-2")]
    judges = query(place / "run", "select distinct iteration, model from judgements order by all")
    assert judges == [(1, "base"), (2, "refiner-2")]
    settings = place / "run/_manifest/iteration=2/sample.settings"
    served = json.loads(settings.read_text())["actor.content"]
    assert served == identity(EngineSpec("vllm", str(place / "run/models/actor-2")))["content"]


@pytest.mark.slow
def test_ctrl_c_in_a_data_round_stops_it_cleanly(
    begin: Callable[..., Process], place: Path
) -> None:
    write_prompts(place / "prompts.jsonl", [f"Prompt {n}." for n in range(2000)])
    process = begin()
    deadline = time.monotonic() + 120
    while not (place / "run/_journal/iteration=1/judge.sqlite").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    code, _, error = finish(process)
    assert code == 4
    assert error.startswith("error: stopped: interrupted")
    assert "Traceback" not in error
    assert len(error.splitlines()) == 2
