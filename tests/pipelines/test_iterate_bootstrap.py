"""`pipelines.iterate --bootstrap`: what comes before iteration 1, stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pipelines import iterate, steps
from pipelines.execution import child
from spar_core.engine.spec import EngineSpec, identity
from tests.pipelines import rounds, standins
from tests.pipelines.children import (
    EVOLVED,
    Children,
    flat,
    settle,
    wait_for,
    wait_until_free,
)
from tests.pipelines.gates import finish
from tests.pipelines.processes import Process
from tests.pipelines.rounds import query

SEEDS = [
    "Write about the history of tea in China.",
    "Explain to a child how a bicycle stays upright.",
    "Describe a walk through a busy market.",
    "Give advice on learning to cook at home.",
    "Tell a story about a lighthouse keeper and his dog.",
    "Introduce the city of Lisbon to somebody who has never been there.",
]
BEFORE = [
    "evolve 0",
    "bootstrap 0 base",
    "sft 0 base actor-1",
    "sft 0 base refiner-1",
]
WHOLE = [
    *BEFORE,
    "refine 1 actor-1 refiner-1",
    "dpo 1 actor-1 actor-2",
    "rft 1 refiner-1 refiner-2",
    "refine 2 actor-2 refiner-2",
    "dpo 2 actor-2 actor-3",
    "rft 2 refiner-2 refiner-3",
]
SMALL = ["--iterations", "2", "--responses", "2", "--votes", "3", "--checks", "report"]
BOOTSTRAP = ["--bootstrap", "--seeds", "seeds.jsonl"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of seeds too."""
    folder = settle(tmp_path / "place", monkeypatch)
    rounds.write_prompts(folder / "seeds.jsonl", SEEDS)
    return folder


def run_it(*more: str, bootstrap: Sequence[str] = BOOTSTRAP) -> int:
    return iterate.main(["--run", "run", "--model", "base", *SMALL, *bootstrap, *more])


def dealt(iteration: int) -> list[str]:
    query_of = f"select prompt from prompts where iteration = {iteration} order by position"
    return [prompt for (prompt,) in query("run", query_of)]


def test_first_models_come_before_the_iterations(
    working: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--evolve_args", "--more 1", "--bootstrap_args=--responses 3"]
    more += ["--sft_actor_args", "--max_steps 2", "--sft-refiner-args", "--use_peft"]
    more += ["--depth", "1"]
    (place / "run").mkdir()
    (place / "run" / "notes.txt").write_text("of somebody else")
    assert run_it(*more) == 2, "the folder holds other things"
    more += ["--force"]  # which the jobs that are started are told, too
    assert run_it(*more) == 0
    assert working.done() == WHOLE
    evolved = dealt(0)
    assert len(evolved) == 6
    taught = query("run", "select distinct prompt_id from responses where iteration = 0")
    assert len(taught) == 3, "half of the prompts"
    assert query("run", "select count(*) from responses where iteration = 0") == [(9,)]
    assert dealt(1) + dealt(2) == [evolved[3], evolved[5], evolved[4]], "those not taught on"
    assert not query(
        "run",
        "select prompt from prompts a join prompts b using (prompt) "
        "where a.iteration = 0 and b.iteration > 0 and (a.checks is distinct from b.checks "
        "or a.checks_complete is distinct from b.checks_complete)",
    )
    assert query("run", "select bool_and(checks_complete) from prompts") == [(True,)]
    assert query("run", "select bool_and(len(checks) > 0) from prompts") == [(True,)]

    actor, refiner = working.commands[2:4]
    for command, role, given in ((actor, "actor", "2"), (refiner, "refiner", "--use_peft")):
        assert command[command.index("--task") + 1] == role
        assert command[command.index("--data") + 1] == "run"
        assert command[-1] == given and "--method" not in command
    models = query("run", "select distinct iteration, model from responses order by all")
    assert [Path(model).name for _, model in models] == ["base", "actor-1", "actor-2"]

    capsys.readouterr()
    held, asked = rounds.files(place / "run"), len(working.commands)
    assert run_it(*more) == 0
    assert rounds.files(place / "run") == held
    assert len(working.commands) == asked, "what is done is not started again"
    assert_table(capsys.readouterr().out)


def assert_table(said: str) -> None:
    """The table of the bootstrap tells what is in the run and in the trainings' records."""
    said = said.partition("What the bootstrap brought")[2].partition("What each iteration")[0]
    lines = [line.strip("│ ").split("│") for line in said.splitlines() if line.startswith("│")]
    held = {name.strip(): value.strip() for name, value in lines}
    for name, sql in {
        "seeds": "select count(*) from seeds",
        "prompts evolved": "select count(*) from prompts where iteration = 0",
        "answers": "select count(*) from sft_actor",
        "judgements": "select count(*) from sft_refiner where task = 'judge'",
        "refinements": "select count(*) from sft_refiner where task = 'refine'",
    }.items():
        assert held[name] == str(query("run", sql)[0][0]), name
    assert held["prompts taught on"] == "3"
    assert int(held["judgements"]) and int(held["refinements"]) and int(held["completion tokens"])
    assert (held["actor: SFT steps"], held["actor: SFT loss"]) == ("3", "1.25")
    assert (held["refiner: SFT steps"], held["refiner: SFT loss"]) == ("4", "0.75")
    assert (held["first actor"], held["first refiner"]) == ("actor-1", "refiner-1")
    assert float(held["minutes"]) < 10


def test_prompts_that_are_given_go_to_the_iterations(children: Children) -> None:
    assert run_it("--prompts", "prompts.jsonl") == 0
    assert children.done() == WHOLE
    assert dealt(0) == EVOLVED
    assert dealt(1) + dealt(2) == [*rounds.PROMPTS[:4:2], *rounds.PROMPTS[1:4:2]]
    assert run_it() == 0


def test_prompts_that_were_given_once_are_not_joined_by_others(children: Children) -> None:
    children.ends = {4: 4}
    assert run_it("--prompts", "prompts.jsonl") == 4
    children.ends = {}
    assert run_it() == 0, "the run goes on with its own"
    assert len(dealt(1) + dealt(2)) == 4


@pytest.mark.parametrize(
    ("limit", "taught", "others"),
    [
        ([], 4, [EVOLVED[4], EVOLVED[6], EVOLVED[5], EVOLVED[7]]),
        (["--bootstrap_limit", "5"], 5, [EVOLVED[5], EVOLVED[7], EVOLVED[6]]),
        (["--bootstrap_limit", "5", "--limit", "1"], 5, [EVOLVED[5], EVOLVED[6]]),
        (["--bootstrap_limit", "7", "--limit", "2"], 7, [EVOLVED[n] for n in (7, 1, 0, 2)]),
        (["--bootstrap_limit", "0"], 8, [*EVOLVED[::2], *EVOLVED[1::2]]),
    ],
)
def test_iterations_take_what_was_not_taught_on_where_that_will_do(
    children: Children,
    capsys: pytest.CaptureFixture[str],
    limit: list[str],
    taught: int,
    others: list[str],
) -> None:
    children.ends = {4: 4}
    assert run_it(*limit) == 4, "stopped in iteration 1: all prompts are dealt before"
    command = children.commands[1]
    assert int(command[command.index("--limit") + 1]) in (taught, 0)
    assert dealt(1) + dealt(2) == others
    said = capsys.readouterr().out
    too_few = f"of the evolved prompts {8 - taught} were not taught on, which is too few"
    assert (too_few in said) == (taught >= 7)


def test_only_what_is_committed_is_dealt(children: Children, place: Path) -> None:
    children.ends = {2: 4}
    assert run_it() == 4
    [shard] = (place / "run/prompts/iteration=0").iterdir()
    shard.with_name("left-behind.parquet").write_bytes(b"half a file")
    children.ends = {}
    assert run_it() == 0
    assert sorted(dealt(1) + dealt(2)) == EVOLVED[4:]


def test_stopped_at_any_step_it_goes_on_there(children: Children) -> None:
    for number, what in enumerate(WHOLE):
        children.commands.clear()
        children.ends = {1 if number else 0: 4}
        assert run_it() == 4
        assert children.done() == WHOLE[max(0, number - 1) : number + 1], what
    children.commands.clear()
    children.ends = {}
    assert run_it() == 0
    assert children.done() == WHOLE[-1:]
    assert sorted(dealt(1) + dealt(2)) == EVOLVED[4:]


@pytest.mark.parametrize(
    ("number", "ends", "code", "said"),
    [
        (0, 2, 2, ""),
        (1, 4, 4, ""),
        (1, 5, 5, ""),
        (3, 2, 2, ""),
        (0, 1, 4, "pipelines.evolve ended with code 1: run the same command again"),
        (1, -9, 4, "pipelines.bootstrap was killed (SIGKILL): run the same command again"),
        (2, 0, 4, "training.sft left no checkpoint in run/models/actor-1"),
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
    assert said in error and bool(error) == bool(said) and len(error.splitlines()) <= 1


def test_ctrl_c_between_two_steps_stops_there(
    children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(command: Sequence[str], keep: Sequence[int] = ()) -> int:
        code = children(command, keep)
        os.kill(os.getpid(), signal.SIGINT)
        return code

    monkeypatch.setattr(child, "run", pressed)
    for done in BEFORE:
        children.commands.clear()
        assert run_it() == 4
        assert children.done() == [done]
        error = capsys.readouterr().err
        assert error == "error: interrupted: run the same command again to go on\n"


def test_a_role_that_has_nothing_to_learn_starts_as_it_is(
    children: Children, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "rows", lambda _run, table, _t: int(table != "sft_refiner"))
    children.ends = {3: 4}
    assert run_it() == 4
    assert children.done() == [*BEFORE[:3], "refine 1 actor-1 base"]
    said = capsys.readouterr().out
    assert "before iteration 1: no lessons to train on, the refiner stays base" in said
    children.commands.clear()
    children.ends = {0: 4}
    assert run_it() == 4
    assert children.done() == ["refine 1 actor-1 base"], "it is not tried again"


def test_failures_are_told_by_the_exit_code_and_stop_nothing(
    working: Children, place: Path
) -> None:
    rounds.write_prompts(place / "seeds.jsonl", [*SEEDS, ""])
    assert run_it("--limit", "1", "--iterations", "1") == 3
    assert working.done() == WHOLE[:7]


@pytest.mark.slow
def test_seeds_of_which_nothing_comes_are_said_to_be_that(
    working: Children, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds.write_prompts(place / "seeds.jsonl", ["Too short."])
    assert run_it() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no prompt came of seeds.jsonl; why: python -m inspection.sql")
    assert len(error.splitlines()) == 1
    rounds.write_prompts(place / "seeds.jsonl", SEEDS)
    assert run_it("--limit", "1") == 0, "seeds can be mended"


def test_other_settings_are_refused(
    children: Children, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    rounds.write_prompts(place / "other.jsonl", SEEDS)
    children.ends = {3: 4}
    begun = ["--sft_actor_args", "--max_steps 2"]
    assert run_it(*begun) == 4
    held, started = rounds.files(place / "run"), len(children.commands)
    for more, said in (
        ([], "the actor of iteration 1 in run was made with other settings (training.sft: "),
        ([*begun, "--seeds", "other.jsonl"], "seeds: 'seeds.jsonl' -> 'other.jsonl'"),
        ([*begun, "--evolve_args", "--more 1"], "more: 3 -> 1"),
        ([*begun, "--evolve_args", "--limit 2"], "limit: None -> 2"),
        ([*begun, "--bootstrap_args", "--responses 1"], "responses: 5 -> 1"),
        ([*begun, "--bootstrap_args", "--closest 0.7"], "closest: 0.5 -> 0.7"),
        ([*begun, "--bootstrap_limit", "3"], "bootstrap_limit: 4 -> 3"),
        ([*begun, "--seed", "5"], "seed: 0 -> 5"),
    ):
        assert run_it(*more) == 5
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1
    assert run_it(bootstrap=["--prompts", "prompts.jsonl"]) == 5
    assert "the run run was begun with --bootstrap; give the settings" in capsys.readouterr().err
    assert rounds.files(place / "run") == held
    assert len(children.commands) == started
    children.ends = {}
    assert run_it(*begun, "--bootstrap_limit", "4", "--sft_refiner_args", "--use_peft") == 0


def test_a_run_that_began_without_is_not_bootstrapped(
    working: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    working.ends = {1: 4}
    assert run_it(bootstrap=["--prompts", "prompts.jsonl"]) == 4
    assert run_it() == 5
    assert "iteration 1 of run was begun without --bootstrap" in capsys.readouterr().err
    assert len(working.commands) == 2


@pytest.mark.slow
def test_more_iterations_later_take_new_prompts(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it() == 0
    assert run_it("--iterations", "3") == 2
    assert "iteration 3 gets no prompt: run/models/evolved.parquet" in capsys.readouterr().err
    assert run_it("--iterations", "3", "--prompts", "prompts.jsonl") == 0
    assert dealt(3) == rounds.PROMPTS[:4]
    assert run_it("--iterations", "3") == 0


def test_trainings_check_their_arguments_before_any_work(children: Children) -> None:
    assert run_it("--sft_actor_args", "--beta 1", "--sft_refiner_args", "--no_such") == 2
    assert not children.commands
    tasks = [command[command.index("--task") + 1] for command in children.checked]
    assert tasks == ["actor", "refiner"]


ENGINE = ["--engine", "vllm", "--model", "base", "--engine_args=--x 1", "--engine_timeout=60.0"]


@pytest.mark.parametrize(
    ("more", "writer", "teacher"),
    [
        ([], [], []),
        (["--teacher", "engine"], [], []),
        (
            ["--teacher", "engine", "--teacher_model", "tutor"],
            [],
            ["--teacher_model", "tutor"],
        ),
        (
            ["--writer", "engine", "--teacher_url", "http://t", "--teacher_model", "tutor"],
            ["--writer_url", "http://t", "--writer_engine", "openai", "--writer_model", "tutor"],
            [],
        ),
        (
            ["--writer=engine", "--teacher=engine", "--teacher_url", "http://t"],
            ["--writer_url", "http://t", "--writer_engine", "openai"],
            ["--teacher_url", "http://t", "--teacher_engine", "openai"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_who_writes_and_who_teaches(
    children: Children, place: Path, more: list[str], writer: list[str], teacher: list[str]
) -> None:
    standins.checkpoint(place / "tutor", "tutor")
    children.ends = {2: 4}
    more = [*more, "--direct_num_workers", "1"]
    assert run_it("--engine_args", "--x 1", "--engine_timeout", "60", *more) == 4
    said = " ".join(more).replace("=", " ")
    evolve, bootstrap = (" ".join(command) for command in children.commands[:2])
    engine = " ".join(ENGINE)
    assert all("--direct_num_workers 1" in line for line in (evolve, bootstrap)), "Beam's pass"
    assert (engine in evolve) == ("--writer engine" in said)
    assert " ".join(writer) in evolve and ("--writer_" in evolve) == bool(writer)
    assert f"{engine} " in bootstrap and "--actor_model base" in bootstrap
    assert " ".join(teacher) in bootstrap and ("--teacher_" in bootstrap) == bool(teacher)


def test_a_refiner_of_its_own_is_trained_from_it(children: Children, place: Path) -> None:
    standins.checkpoint(place / "judge", "judge")
    children.ends = {4: 4}
    assert run_it("--refiner_model", "judge") == 4
    assert children.done()[2:4] == ["sft 0 base actor-1", "sft 0 judge refiner-1"]


@pytest.mark.parametrize(
    ("argv", "bootstrap", "said"),
    [
        (["--seeds", "seeds.jsonl"], [], "--seeds is for --bootstrap"),
        (["--sft_actor_args", "--x"], [], "--sft_actor_args is for --bootstrap"),
        ([], ["--bootstrap"], "--bootstrap needs --seeds FILES"),
        (["--seeds", "-"], ["--bootstrap"], "--seeds -: standard input is read by"),
        (["--writer", "nobody"], BOOTSTRAP, "--writer: invalid choice: 'nobody'"),
        (["--teacher_model", "m"], BOOTSTRAP, "--teacher_model is for --teacher engine or"),
        (["--bootstrap_limit", "x"], BOOTSTRAP, "--bootstrap_limit: must be a whole number"),
        (["--evolve_args", "--mroe 1"], BOOTSTRAP, "--evolve_args: no option --mroe; did you"),
        (["--evolve_args", "--kinds x"], BOOTSTRAP, "--evolve_args: --kinds: no kind 'x'"),
        (["--evolve_args", "--seeds x"], BOOTSTRAP, "--evolve_args must not hold --seeds"),
        (["--evolve_args", "'open"], BOOTSTRAP, "No closing quotation"),
        (["--bootstrap_args", "--closest 2"], BOOTSTRAP, "--bootstrap_args: --closest: must be"),
        (["--bootstrap_args", "--limit 2"], BOOTSTRAP, "--bootstrap_args must not hold --limit"),
        (["--bootstrap_args", "--teach_votes 3"], BOOTSTRAP, "no option --teach_votes in this job"),
        (["--sft_refiner_args", "--task actor"], BOOTSTRAP, "must not hold --task"),
        (["--respones", "3"], BOOTSTRAP, "error: no option --respones; did you mean --responses?"),
        (["--prompts", "nothing.jsonl"], BOOTSTRAP, "no such file: nothing.jsonl"),
        (["--prompts", "prompts.jsonl", "--iterations", "5"], BOOTSTRAP, "gets no prompt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_said_before_any_work(
    children: Children,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    bootstrap: list[str],
    said: str,
) -> None:
    assert run_it(*argv, bootstrap=bootstrap) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and len(error.splitlines()) == 1
    assert not children.commands
    assert not list(place.glob("run/_manifest/*/*/*.json"))


def test_help_explains_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        iterate.main(["--help"])
    said = flat(capsys.readouterr().out)
    for option in ("--bootstrap ", "--seeds FILES", "--teacher_url URL", "--sft_refiner_args ARGS"):
        assert option in said


# From here on in processes of their own, with an engine that plays the models.


@pytest.fixture
def begin(place: Path) -> Iterator[Callable[[], Process]]:
    """Starts the job; it does not outlive the test."""
    begun: list[Process] = []

    def start() -> Process:
        argv = ["--run", "run", "--model", "base", *SMALL, *BOOTSTRAP, "--iterations", "1"]
        begun.append(standins.start(place, *argv))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_and_interrupted_in_its_children_it_ends_with_everything_done_once(
    begin: Callable[[], Process], place: Path
) -> None:
    """SIGKILL of the job alone during an SFT; Ctrl-C at the terminal during the next."""
    (place / "sft_actor.hang").touch()
    process = begin()
    wait_for(place / "sft_actor.hangs", process)
    process.kill()
    wait_until_free(place / "run")
    held = rounds.committed(place / "run")

    (place / "sft_actor.hang").unlink()
    (place / "sft_refiner.hang").touch()
    process = begin()
    wait_for(place / "sft_refiner.hangs", process)
    os.killpg(process.pid, signal.SIGINT)
    code, out, error = finish(process)
    assert code == 4
    assert error == "error: sft_refiner was interrupted\n", "said once, by the one who knows"
    assert "prompts are evolved" not in out and "lessons" not in out, "done before"

    (place / "sft_refiner.hang").unlink()
    code, out, error = finish(begin())
    assert (code, error) == (0, "")
    now = rounds.committed(place / "run")
    assert {name: now[name] for name in held} == held
    assert [name for name, *_ in standins.trainings(place)] == [
        *("sft_actor", "sft_actor", "sft_refiner", "sft_refiner", "dpo", "rft")
    ]
    models = query(place / "run", "select distinct iteration, model from responses order by all")
    assert models == [(0, "base"), (1, "actor-1")]
    settings = place / "run/_manifest/iteration=1/judge.settings"
    served = json.loads(settings.read_text())["refiner.content"]
    assert served == identity(EngineSpec("vllm", str(place / "run/models/refiner-1")))["content"]
