"""Bootstrapping: whole jobs in this process, with a teacher that is a program or an engine.

What a teacher makes of answers: tests/spar_core/stages/test_teach.py.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import bootstrap, evolve, refine
from spar_core.checks.strict import follows
from spar_core.conversation import read_refinement, read_vote
from spar_core.ids import prompt_id
from tests.loopback import Answer, Body, serving
from tests.pipelines import lessons, rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.lessons import (
    ALL_WRONG,
    PROMPTS,
    QUOTED_GOOD,
    TOPICS,
    act,
    teach,
    write_topics,
)
from tests.pipelines.rounds import failures, files, query, role, tables
from tests.pipelines.seeds import write_seeds

ENGINE = ["--teacher", "engine"]
SPLITS = ["", "test", "", "test", ""]


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


@pytest.fixture
def checked(tmp_path: Path) -> Path:
    return lessons.write_prompts(tmp_path / "checked.jsonl")


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    return write_topics(tmp_path / "topics.jsonl")


def command(run: Path, prompts: Path, url: str, *more: str) -> list[str]:
    return [*rounds.command(run, prompts, url), "--responses", "3", *more]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which rules taught on `PROMPTS`; for reading only."""
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    folder = tmp_path_factory.mktemp("taught")
    prompts = lessons.write_prompts(folder / "checked.jsonl")
    with serving(act) as server:
        assert bootstrap.main(command(folder / "run", prompts, server.url)) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def taught_by_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which an engine taught on `TOPICS`; for reading only."""
    folder = tmp_path_factory.mktemp("taught")
    prompts = write_topics(folder / "topics.jsonl")
    with serving(teach) as server:
        assert bootstrap.main(command(folder / "run", prompts, server.url, *ENGINE)) == 0
    return folder / "run"


def one_line(capsys: pytest.CaptureFixture[str], *said: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(each in error for each in said), error


def counts(run: Path) -> dict[tuple[str, str], int]:
    rows = query(run, "select what, outcome, rows from lesson_counts")
    return {(what, outcome): number for what, outcome, number in rows}


def consistent(run: Path) -> None:
    """What must hold of any run in which a teacher taught."""
    for table in ("lessons", "sft_actor", "sft_refiner"):
        assert not query(
            run, f"select sft_id from {table} group by iteration, sft_id having count(*) > 1"
        )
        assert not query(run, f"from {table} anti join prompts using (iteration, prompt_id)")
    assert not query(run, "from lessons anti join responses using (iteration, response_id)")
    assert not query(run, "from sft_refiner anti join lessons using (iteration, sft_id)")
    assert not query(
        run, "select 1 from sft_refiner group by task, messages[1:-2] having count(*) > 1"
    )
    labels = dict(query(run, "select label, count(*) from sft_refiner where task = 'judge' "
                             "group by all"))  # fmt: skip
    assert len(set(labels.values())) < 2, "as many Yes as No"
    held = query(
        run,
        "select l.messages, task, label, l.source, response, prompt, checks, l.checked "
        "from lessons l join responses r using (iteration, response_id) "
        "join prompts p on p.iteration = l.iteration and p.prompt_id = l.prompt_id",
    )
    for messages, task, label, source, response, prompt, checks, program in held:
        roles = [turn["role"] for turn in messages]
        assert roles == ["user", "assistant"] * (2 if task == "refine" else 1)
        assert prompt in messages[0]["content"]
        if source == "response":
            assert f'"{response}"' in messages[0]["content"]
        vote = read_vote(messages[1]["content"])
        if task == "judge":
            assert vote == label
        else:
            refined = read_refinement(messages[-1]["content"])
            assert (vote, label) == ("No", None)
            assert refined is not None
            assert program is follows(checks, refined.response)
    for messages, prompt, checks in query(
        run,
        "select messages, prompt, checks from sft_actor join prompts using (iteration, prompt_id)",
    ):
        [asked, answered] = messages
        assert asked == {"role": "user", "content": prompt}
        assert answered["role"] == "assistant"
        assert follows(checks, answered["content"]) is not False


def test_rules_teach_and_what_became_of_it_is_counted(taught: Path) -> None:
    consistent(taught)
    assert query(taught, "select count(*) from responses") == [(3 * len(PROMPTS),)]
    found = counts(taught)
    judgements = query(
        taught,
        "select label, count(*), count(distinct messages[1].content) from lessons "
        "where task = 'judge' group by all order by all",
    )
    fewest = min(different for _, _, different in judgements)
    assert found["judgement", "kept"] == 2 * fewest
    total = sum(number for _, number, _ in judgements)
    assert found["judgement", "surplus"] == total - 2 * fewest
    assert found["answer", "kept"] == 7
    assert query(taught, "select count(*) from sft_refiner where task = 'refine'") == [
        (found["refinement", "kept"],)
    ]


def test_it_is_summed_up_and_says_what_is_next(
    tmp_path: Path, checked: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with serving(act) as server:
        argv = command(run, checked, server.url)
        assert bootstrap.main(argv) == 0
        out, err = capfd.readouterr()
        assert err == ""
        assert "A teacher's lessons, by what became of them" in out
        assert "no_checks" in out
        assert "No pairs yet" not in out
        assert f"training.sft --task refiner --data {run}" in out
        held, asked = files(run), len(server.bodies)
        assert bootstrap.main(argv) == 0
        out = capfd.readouterr().out
        for said in ("sample: all 5 prompts", "teach: all 15 responses", "balance: all "):
            assert said in out
        assert files(run) == held
        assert len(server.bodies) == asked


def test_a_round_afterwards_uses_the_same_answers(
    tmp_path: Path, topics: Path, taught_by_engine: Path
) -> None:
    run = shutil.copytree(taught_by_engine, tmp_path / "run")
    with serving(teach) as server:
        assert refine.main(command(run, topics, server.url, "--votes", "3", "--depth", "1")) == 0
    assert "actor" not in {role(body) for body in server.bodies}
    assert query(run, "select count(*) > 0 from pairs") == [(True,)]
    without = ["judgements", "nodes", "trees", "pairs", "rft"]
    assert tables(run, without=without) == tables(taught_by_engine, without=without)


def test_a_larger_limit_does_the_rest_and_balances_anew(
    tmp_path: Path, checked: Path, taught: Path
) -> None:
    run = tmp_path / "run"
    with serving(act) as server:
        assert bootstrap.main(command(run, checked, server.url, "--limit", "2")) == 0
        consistent(run)
        assert query(run, "select count(distinct prompt_id) from lessons") == [(2,)]
        since = len(server.bodies)
        assert bootstrap.main(command(run, checked, server.url)) == 0
        assert len(server.bodies) - since == len(PROMPTS) - 2
    consistent(run)
    assert tables(run) == tables(taught)


def test_iteration_0_on_prompts_that_were_evolved(tmp_path: Path) -> None:
    pytest.importorskip("datasketch", reason="the extra `evolve` is not installed")
    run = tmp_path / "run"
    kinds = "punctuation:no_comma,startend:quotation"
    seeds = ["--seeds", str(write_seeds(tmp_path / "seeds.jsonl"))]
    zero = ["--run", str(run), "--iteration", "0"]
    assert evolve.main([*zero, *seeds, "--kinds", kinds]) == 0
    with serving(lambda body: [ALL_WRONG, QUOTED_GOOD][: body["n"]]) as server:
        argv = [*zero, "--engine_url", server.url, "--responses", "2"]
        assert bootstrap.main(argv) == 0
    consistent(run)
    assert query(run, "select distinct iteration, sft_id[:4] from sft_refiner") == [(0, "i0.p")]
    assert query(run, "select count(*) from sft_actor where iteration = 0") == [(12,)]
    assert query(run, "select distinct label from sft_refiner order by all") == [
        ("No",),
        ("Yes",),
        (None,),
    ]


def test_equal_chats_are_learnt_once(taught_by_engine: Path) -> None:
    """Three refinements of an answer are the same, and one that fails is its own refinement."""
    consistent(taught_by_engine)
    found = counts(taught_by_engine)
    assert found["judgement", "kept"] == 2 * 6
    assert found["judgement", "surplus"] == 27 - 12
    assert found["refinement", "kept"] == 3
    assert found["answer", "kept"] == 2


def test_who_is_asked_what(tmp_path: Path, topics: Path) -> None:
    with serving(teach) as server, serving(teach) as other:
        server.models, other.models = ["small"], ["large"]
        argv = command(tmp_path / "run", topics, server.url, *ENGINE, "--teacher_url", other.url)
        assert bootstrap.main(argv) == 0
    assert {(role(body), body.get("n", 1)) for body in server.bodies} == {("actor", 3)}
    assert {(role(body), body.get("n", 1)) for body in other.bodies} == {
        ("actor", 1),
        ("judge", 5),
        ("refine", 3),
    }
    run = tmp_path / "run"
    assert query(run, "select distinct teacher from lessons") == [("large",)]
    assert query(run, "select distinct model from responses") == [("small",)]
    said = query(
        run, "select distinct messages[2].content like 'answer 0 of large%' from sft_actor"
    )
    assert said == [(True,)]


def test_a_request_that_is_refused_is_a_failure_and_tried_again(
    tmp_path: Path, topics: Path, taught_by_engine: Path
) -> None:
    run, ill = tmp_path / "run", TOPICS[1]

    def answer(body: Body) -> Answer:
        if role(body) == "judge" and ill in body["messages"][0]["content"]:
            return web.Response(text="content policy", status=422)
        return teach(body)

    with serving(answer) as server:
        assert bootstrap.main(command(run, topics, server.url, *ENGINE)) == 3
    found = failures(run, "stage, error, payload")
    assert {row[1:] for row in found} == {("refused", ill)}
    assert {row[0] for row in found} == {"answer", "teach"}
    with serving(teach) as healed:
        assert bootstrap.main(command(run, topics, healed.url, *ENGINE)) == 0
    assert all(ill in body["messages"][0]["content"] for body in healed.bodies)
    assert tables(run) == tables(taught_by_engine)


def test_a_teacher_that_knows_us_not_stops_the_run(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(teach) as server, serving(lambda _: web.Response(status=401)) as other:
        argv = command(tmp_path / "run", topics, server.url, *ENGINE, "--teacher_url", other.url)
        assert bootstrap.main(argv) == 4
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 2
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--prompts", "nowhere.jsonl"], "no such file: nowhere.jsonl"),
        (["--prompts", ""], "--prompts must be a path or URL"),
        (["--seeds", "x.jsonl"], "no option --seeds in this job: it is another job's"),
        (["--teacher", "nobody"], "--teacher: invalid choice: 'nobody'"),
        (["--teacher_votes", "5"], "no option --teacher_votes"),
        (["--teach_votes", "5"], "no option --teach_votes in this job: it is another job's"),
        (["--closest", "2"], "--closest: must be a number"),
        (["--split", "test"], "no option --split in this job"),
        ([*ENGINE, "--refinements", "0"], "--refinements: must be a whole number"),
        ([*ENGINE, "--constrained", "on"], "--constrained on needs --engine llamacpp or vllm"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    argv = ["--run", str(tmp_path / "run"), "--engine_url", "http://127.0.0.1:9", "--model", "m"]
    assert bootstrap.main([*argv, *more]) == 2
    one_line(capsys, said)


def test_a_run_must_be_named(checked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["--prompts", str(checked)]) == 2
    one_line(capsys, "--run DIR is needed")


def test_rows_that_are_no_prompts_are_failures(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    bad = ['{"prompt": ""}', "broken", '{"prompt": "x", "checks": [{"id": "x:y"}]}']
    prompts.write_text("\n".join([json.dumps({"prompt": TOPICS[0]}), *bad]))
    with serving(teach) as server:
        assert bootstrap.main(command(tmp_path / "run", prompts, server.url, *ENGINE)) == 3
    assert sorted(failures(tmp_path / "run")) == ["bad_checks", "bad_json", "empty_prompt"]
    assert query(tmp_path / "run", "select prompt_id from prompts") == [(prompt_id(TOPICS[0]),)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--closest", "0.9"], "closest: 0.5 -> 0.9"),
        (["--seed", "3"], "seed: 0 -> 3"),
        (["--responses", "4"], "responses: 3 -> 4"),
        (ENGINE, "refinements"),
    ],
    ids=" ".join,
)
def test_other_settings_are_refused(
    taught: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    held = files(taught)
    with serving(act) as server:
        assert (
            bootstrap.main(command(taught, taught.parent / "checked.jsonl", server.url, *more)) == 5
        )
    one_line(capsys, said, "iteration 1")
    assert files(taught) == held
    assert not server.bodies


def test_settings_may_stand_side_by_side(tmp_path: Path, checked: Path, taught: Path) -> None:
    run = shutil.copytree(taught, tmp_path / "run")
    with serving(act) as server:
        variant = ["--variant", "far", "--closest", "1"]
        assert bootstrap.main(command(run, checked, server.url, *variant)) == 0
        assert server.bodies == [], "the answers are the same"
    kept = query(
        run, "select variant, count(*) from sft_refiner where task = 'refine' group by all"
    )
    assert [name for name, _ in kept] == ["main"]
    assert query(run, "select distinct variant from sft_refiner order by all") == [
        ("far",),
        ("main",),
    ]
    ids = query(run, "select sft_id from lessons")
    assert len(set(ids)) == len(ids)


@pytest.mark.slow
def test_it_may_be_killed_in_every_stage(tmp_path: Path, begin: Begin) -> None:
    many = [f"Topic {n}: {TOPICS[n % 5].rpartition(': ')[2]}" for n in range(60)]
    topics = write_topics(tmp_path / "topics.jsonl", many)
    with serving(teach) as server:
        assert bootstrap.main(command(tmp_path / "whole", topics, server.url, *ENGINE)) == 0
    run, dice = tmp_path / "run", random.Random(0)
    gate = Gate(run, teach)
    job = "pipelines.bootstrap"
    with serving(gate) as server:
        argv = command(run, topics, server.url, *ENGINE, "--slots", "1", "--together", "off")
        for stage in ("sample", "answer", "teach"):
            gate.set(stage, dice.randint(1, 3))
            process = begin(*argv, job=job)
            assert gate.shut.wait(90), process.communicate()
            time.sleep(dice.random() / 5)
            kill(process)
            held = rounds.committed(run)
        done = {text for (text,) in query(run, "select distinct prompt from prompts semi join "
                                               "lessons using (prompt_id)")}  # fmt: skip
        assert done
        since = len(server.bodies)
        gate.open()
        code, _, err = finish(begin(*argv, job=job))
    assert (code, err) == (0, "")
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held} == held
    assert not [body for body in server.bodies[since:] if role(body) == "actor"]
    consistent(run)
    assert tables(run) == tables(tmp_path / "whole")
    assert not list(run.rglob("*.tmp"))


def test_how_it_is_run_changes_no_row(tmp_path: Path, topics: Path, taught_by_engine: Path) -> None:
    beam = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    with serving(teach) as server:
        assert bootstrap.main(command(tmp_path / "run", topics, server.url, *ENGINE, *beam)) == 0
    assert tables(tmp_path / "run") == tables(taught_by_engine)
