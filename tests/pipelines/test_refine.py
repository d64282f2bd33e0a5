"""The whole round, in this process, against a scripted server and on the embedded model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines import judge, pairs, refine, sample, tree_search
from spar_core.engine.bundled import bundled_adapter
from tests.loopback import LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import (
    PROMPTS,
    SMALL,
    FinishedRound,
    check,
    command,
    query,
    role,
    small,
    story,
    tables,
)


def test_a_round_is_consistent(finished_run: Path) -> None:
    check(finished_run)
    counts = {name: len(rows) for name, rows in tables(finished_run).items()}
    assert counts["prompts"] == len(PROMPTS)
    assert counts["responses"] == counts["judgements"] == 5 * len(PROMPTS)
    assert counts["trees"] == 10, "one for each prompt but the two easy ones"
    assert counts["pairs"] == 8, "one for each tree but the two hopeless ones"
    assert counts["failures"] == 0


def test_prompts_are_kept_as_they_are(finished_run: Path) -> None:
    held = query(finished_run, "select prompt from prompts order by position")
    assert [prompt for (prompt,) in held] == PROMPTS


def test_hopeless_trees_stop_at_their_bounds(finished_run: Path) -> None:
    hopeless = query(
        finished_run,
        "select solved, refinements, chosen_depth from trees join prompts using (prompt_id) "
        "where prompt like '%hopeless%' order by chosen_depth",
    )
    assert hopeless == [(False, 15, 0), (False, 15, 1)], "the best node found, solved or not"
    by_depth = query(
        finished_run,
        "select depth, count(*) from nodes join prompts using (prompt_id) "
        "where prompt like '%hopeless%' group by all order by all",
    )
    assert by_depth == [(0, 2), (1, 6), (2, 12), (3, 12)]


def test_pairs_are_trl_conversations(finished_run: Path) -> None:
    for prompt, chosen, rejected, text, similarity in query(
        finished_run,
        "select p.prompt, chosen, rejected, q.prompt, similarity "
        "from pairs p join prompts q using (prompt_id)",
    ):
        assert prompt == [{"role": "user", "content": text}]
        assert [turn["role"] for turn in chosen + rejected] == ["assistant", "assistant"]
        assert chosen != rejected
        assert 0 <= similarity < 1


def test_rft_samples_are_conversations_one_a_judge_prompt(finished_run: Path) -> None:
    rows = query(finished_run, "select messages, task, label, value from rft")
    assert {task for _, task, _, _ in rows} == {"judge", "refine"}
    assert len({messages[0]["content"] for messages, *_ in rows}) == len(rows)
    for messages, task, label, value in rows:
        roles = [turn["role"] for turn in messages]
        assert roles == ["user", "assistant"] * (2 if task == "refine" else 1)
        assert all(turn["content"].strip() for turn in messages)
        if task == "judge":
            assert 0 < value < 1
            assert label == ("Yes" if value > 0.5 else "No")
            assert messages[-1]["content"].endswith(label)
        else:
            assert "[[start]]" in messages[-1]["content"]


def test_tokens_are_those_the_server_counted(finished_round: FinishedRound) -> None:
    held = query(
        finished_round.run, "select sum(prompt_tokens), sum(completion_tokens) from token_cost"
    )
    assert held == [(finished_round.prompt_tokens, finished_round.completion_tokens)]
    of_nodes = "select sum(prompt_tokens), sum(completion_tokens) from nodes"
    of_trees = "select sum(prompt_tokens), sum(completion_tokens) from trees"
    assert query(finished_round.run, of_nodes) == query(finished_round.run, of_trees)


def test_requests_are_the_papers(finished_round: FinishedRound) -> None:
    bodies = finished_round.bodies
    asked = {
        (role(body), body["n"], body["temperature"], body["top_p"], body["max_tokens"])
        for body in bodies
    }
    assert asked == {
        ("actor", 5, 0.9, 0.9, 2048),
        ("judge", 5, 0.7, 1.0, 2048),
        ("refine", 3, 0.7, 1.0, 3072),
    }
    judged = {body["messages"][0]["content"] for body in bodies if role(body) == "judge"}
    for body in bodies:
        if role(body) == "refine":
            assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
            assert body["messages"][0]["content"] in judged, "no prefix cache can serve this"


def test_the_same_command_again_asks_and_changes_nothing(
    copied_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    held = rounds.files(copied_run)
    assert refine.main(command(copied_run, prompts, server.url)) == 0
    assert rounds.files(copied_run) == held
    assert not server.bodies


def test_stages_alone_make_the_same_tables(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    (count, votes, search, seed) = (SMALL[:2], SMALL[2:4], SMALL[4:-2], SMALL[-2:])
    assert sample.main(command(run, few, server.url, *count, *seed)) == 0
    assert {role(body) for body in server.bodies} == {"actor"}
    options = ["--run", str(run), "--engine_url", server.url, *votes, *seed]
    assert judge.main(options) == tree_search.main([*options, *search]) == 0
    asked = len(server.bodies)
    assert pairs.main(["--run", str(run), *seed]) == 0
    assert len(server.bodies) == asked
    assert tables(run) == tables(small_run)


@pytest.mark.parametrize(
    "beam",
    [
        ["--runner=DirectRunner", "--slots", "1"],
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"],
    ],
    ids=" ".join,
)
def test_how_it_is_run_changes_no_row(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer, beam: list[str]
) -> None:
    assert refine.main(small(tmp_path / "run", few, server.url, *beam)) == 0
    assert tables(tmp_path / "run") == tables(small_run)


def test_own_bounds_and_seed_hold(
    small_round: FinishedRound, finished_round: FinishedRound
) -> None:
    run = small_round.run
    check(run, responses=2, depth=2, budget=3)
    assert query(run, "select distinct len(votes) from nodes") == [(3,)]
    assert query(run, "select max(refinements) from trees") == [(3,)]
    counts = "select count(*), count(*) filter (solved) from trees"
    assert query(run, counts) == [(3, 2)], "of all but the easy one, of which one is hopeless"
    assert query(run, "select count(*) from pairs") == [(2,)]
    seeds, others = ({body["seed"] for body in each.bodies} for each in
                     (small_round, finished_round))  # fmt: skip
    assert len(seeds) == len(small_round.bodies)
    assert not seeds & others, "--seed reaches the requests"


def test_a_larger_limit_does_the_rest_only(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert refine.main(small(run, few, server.url, "--limit", "2")) == 0
    check(run, responses=2, depth=2, budget=3)
    assert query(run, "select count(*) from prompts") == [(2,)]
    first = {body["messages"][0]["content"] for body in server.bodies}
    held, asked = rounds.committed(run), len(server.bodies)
    assert refine.main(small(run, few, server.url, "--limit", "0")) == 0
    rest = {body["messages"][0]["content"] for body in server.bodies[asked:]}
    assert not first & rest
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held if "rft" not in name} == {
        name: data for name, data in held.items() if "rft" not in name
    }
    assert tables(run) == tables(small_run)


def test_a_smaller_limit_takes_nothing_away(
    copied_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    held = tables(copied_run, without=["rft"])
    assert refine.main(command(copied_run, prompts, server.url, "--limit", "3")) == 0
    assert tables(copied_run, without=["rft"]) == held
    assert not server.bodies


def test_iterations_stand_side_by_side_with_models_of_their_own(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    held = rounds.files(run)
    # Another iteration is another variant: its settings are its own.
    server.models = ["a", "r"]
    options = ["--iteration", "2", "--actor_model", "a", "--refiner_model", "r", "--votes", "1"]
    assert refine.main(small(run, few, server.url, *options)) == 0
    now = rounds.files(run)
    assert {name: now[name] for name in held} == held
    check(run, responses=2, depth=2, budget=3)
    for table in ("prompts", "responses", "judgements", "trees", "pairs"):
        counts = query(run, f"select count(*) from {table} group by iteration order by iteration")
        assert len(counts) == 2, table
        assert len(set(counts)) == 1, table
    models = query(run, "select distinct iteration, model from responses order by all")
    assert models == [(1, "loopback"), (2, "a")]
    assert query(run, "select distinct model from trees where iteration = 2") == [("r",)]
    assert {(role(body), body["model"]) for body in server.bodies} == {
        ("actor", "a"),
        ("judge", "r"),
        ("refine", "r"),
    }
    assert not query(run, "select response_id from responses group by all having count(*) > 1")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--responses", "4", "responses: 5 -> 4"),
        ("--seed", "7", "seed: 0 -> 7"),
        ("--actor_temperature", "0.5", "0.9 -> 0.5"),
        ("--actor_model", "other", "'loopback' -> 'other'"),
        ("--votes", "7", "votes: 5 -> 7"),
        ("--refiner_model", "other", "'loopback' -> 'other'"),
        ("--strategy", "dfs", "'bfs' -> 'dfs'"),
        ("--depth", "2", "depth: 3 -> 2"),
        ("--refine_top_p", "0.5", "1.0 -> 0.5"),
    ],
)
def test_other_settings_are_refused(
    tmp_path: Path,
    prompts: Path,
    finished_run: Path,
    server: LoopbackServer,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    said: str,
) -> None:
    held = rounds.files(finished_run)
    assert refine.main(command(finished_run, prompts, server.url, option, value)) == 5
    error = capsys.readouterr().err
    assert said in error
    assert "iteration 1" in error
    assert error.count("\n") == 1
    assert not server.bodies
    assert rounds.files(finished_run) == held


def test_what_makes_no_difference_may_change(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    options = ["--slots", "2", "--engine_timeout", "5", "--engine_patience", "7"]
    held = tables(finished_run)
    assert refine.main(command(finished_run, prompts, server.url, *options)) == 0
    assert tables(finished_run) == held
    assert not server.bodies


def test_nothing_to_refine_is_a_result(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", ["easy", "easy too"])
    assert refine.main(small(tmp_path / "run", prompts, server.url)) == 0
    assert query(tmp_path / "run", "select count(*) from trees") == [(0,)]
    assert "No pairs" in capsys.readouterr().out


def test_a_server_that_ignores_n_is_asked_again(
    tmp_path: Path, prompts: Path, finished_run: Path
) -> None:
    with serving(lambda body: story(body)[:1] if role(body) == "actor" else story(body)) as server:
        assert sample.main(command(tmp_path / "run", prompts, server.url)) == 0
    counts = "select count(*) from responses group by prompt_id"
    assert query(tmp_path / "run", counts) == [(5,)] * len(PROMPTS)
    assert [body.get("n") for body in server.bodies].count(5) == len(PROMPTS)
    assert len({body["seed"] for body in server.bodies}) == 5 * len(PROMPTS)


def test_a_run_may_lie_in_memory(
    small_run: Path, few: Path, server: LoopbackServer, request: pytest.FixtureRequest
) -> None:
    run = f"memory://{request.node.name}/run"
    options = ["--run", run, "--prompts", str(few), "--engine_url", server.url, *SMALL]
    assert refine.main(options) == 0
    assert tables(run) == tables(small_run)
    asked = len(server.bodies)
    assert refine.main(options) == 0
    assert len(server.bodies) == asked


def test_a_run_may_have_any_name(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "model=x" / "iteration=9 a*b?c" / "runs [1] it's 50%"
    assert refine.main(small(run, few, server.url)) == 0
    assert tables(run) == tables(small_run)
    asked, held = len(server.bodies), rounds.files(run)
    assert refine.main(small(run, few, server.url)) == 0
    assert len(server.bodies) == asked
    assert rounds.files(run) == held


@pytest.mark.parametrize("name", ["it's a run", "runs [1]", "50%", "model=x/iteration=9", "a*b?c"])
def test_a_run_of_any_name_is_found_again(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer, name: str
) -> None:
    run = tmp_path / name
    shutil.copytree(small_run, run)
    held = rounds.files(run)
    assert refine.main(small(run, few, server.url)) == 0
    assert not server.bodies
    assert rounds.files(run) == held


def test_off_a_terminal_it_is_plain_and_short(
    tmp_path: Path, few: Path, server: LoopbackServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refine.main(small(tmp_path / "run", few, server.url)) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "\r" not in out
    assert "Pair quality" in out
    assert f"python -m inspection.report --run {tmp_path / 'run'}" in out
    assert len(out.splitlines()) < 60


@pytest.mark.engine
def test_the_embedded_model_does_a_round(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = "--limit 2 --responses 2 --votes 3 --depth 1 --budget 2 --branch 2"
    limits = "--actor_max_tokens 128 --judge_max_tokens 112 --refine_max_tokens 96"
    argv = ["--run", str(tmp_path / "run"), *options.split(), *limits.split()]
    assert refine.main(argv) == 0
    out = capfd.readouterr().out
    assert "SmolLM2-135M" in out
    assert "8B or more" in out
    check(tmp_path / "run", responses=2, depth=1, budget=2)
    run = tmp_path / "run"
    assert query(run, "select count(*), count(distinct prompt_id) from responses") == [(4, 2)]
    assert query(run, "select min(completion_tokens) > 0, max(completion_tokens) <= 128 "
                      "from responses") == [(True, True)]  # fmt: skip
    unread = "select sum(unparsed_votes) / sum(len(votes)) from judgements"
    assert query(run, unread)[0][0] < 0.5, "votes are in the wire format"
    adapted = "+adapter.gguf" if bundled_adapter() else ""
    assert query(run, "select distinct model from judgements") == [
        (f"SmolLM2-135M-Instruct.Q4_1.gguf{adapted}",)
    ]
    held = rounds.files(run)
    assert refine.main(argv) == 0
    assert rounds.files(run) == held
