"""The whole round, in this process, against a scripted server and on the embedded model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aiohttp import web

from pipelines import judge, pairs, refine, sample, tree_search
from spar_core.engine.bundled import bundled_adapter
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import (
    PROMPTS,
    FinishedRound,
    check,
    command,
    query,
    role,
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
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert sample.main(command(run, prompts, server.url)) == 0
    assert {role(body) for body in server.bodies} == {"actor"}
    options = ["--run", str(run), "--engine_url", server.url]
    assert judge.main(options) == tree_search.main(options) == 0
    asked = len(server.bodies)
    assert pairs.main(["--run", str(run)]) == 0
    assert len(server.bodies) == asked
    assert tables(run) == tables(finished_run)


@pytest.mark.parametrize(
    "beam",
    [
        ["--runner=DirectRunner", "--slots", "1"],
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"],
    ],
    ids=" ".join,
)
def test_how_it_is_run_changes_no_row(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer, beam: list[str]
) -> None:
    assert refine.main(command(tmp_path / "run", prompts, server.url, *beam)) == 0
    assert tables(tmp_path / "run") == tables(finished_run)


def test_dfs_keeps_to_the_bounds(tmp_path: Path, prompts: Path, server: LoopbackServer) -> None:
    run = tmp_path / "run"
    assert refine.main(command(run, prompts, server.url, "--strategy", "dfs")) == 0
    check(run)
    trees = "select strategy, max(refinements), count(*) from trees group by all"
    assert query(run, trees) == [("dfs", 15, 10)]
    # 3 children, those of the first, those of its two best, then those of the second.
    paths = query(
        run,
        'select list(parent_id order by "order") from nodes join prompts using (prompt_id) '
        "where depth > 0 and prompt like '%hopeless%' group by tree_id",
    )
    for (parents,) in paths:
        suffixes = [parent.partition(".t.")[2] for parent in parents[::3]]
        assert suffixes == ["root", "0", "0.0", "0.1", "1"]


def test_own_bounds_hold(tmp_path: Path, prompts: Path, server: LoopbackServer) -> None:
    bounds = "--branch 2 --keep 1 --depth 2 --budget 3 --responses 2 --votes 3"
    options = bounds.split()
    assert refine.main(command(tmp_path / "run", prompts, server.url, *options)) == 0
    check(tmp_path / "run", responses=2, depth=2, budget=3)
    votes = query(tmp_path / "run", "select distinct len(votes) from nodes")
    assert votes == [(3,)]
    assert query(tmp_path / "run", "select max(refinements) from trees") == [(3,)]


def test_a_larger_limit_does_the_rest_only(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = tmp_path / "run"
    assert refine.main(command(run, prompts, server.url, "--limit", "5")) == 0
    check(run)
    assert query(run, "select count(*) from prompts") == [(5,)]
    first = {body["messages"][0]["content"] for body in server.bodies}
    held, asked = rounds.committed(run), len(server.bodies)
    assert refine.main(command(run, prompts, server.url, "--limit", "0")) == 0
    rest = {body["messages"][0]["content"] for body in server.bodies[asked:]}
    assert not first & rest
    now = rounds.committed(run)
    assert {name: now.get(name) for name in held if "rft" not in name} == {
        name: data for name, data in held.items() if "rft" not in name
    }
    assert tables(run) == tables(finished_run)


def test_a_smaller_limit_takes_nothing_away(
    copied_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    held = tables(copied_run, without=["rft"])
    assert refine.main(command(copied_run, prompts, server.url, "--limit", "3")) == 0
    assert tables(copied_run, without=["rft"]) == held
    assert not server.bodies


def test_iterations_stand_side_by_side(
    copied_run: Path, prompts: Path, server: LoopbackServer
) -> None:
    run = copied_run
    held = rounds.files(run)
    # Another iteration is another variant: its settings are its own.
    server.models.append("next")
    options = ["--iteration", "2", "--model", "loopback", "--actor_model", "next", "--votes", "3"]
    assert refine.main(command(run, prompts, server.url, *options)) == 0
    now = rounds.files(run)
    assert {name: now[name] for name in held} == held
    check(run)
    for table in ("prompts", "responses", "judgements", "trees", "pairs"):
        counts = query(run, f"select count(*) from {table} group by iteration order by iteration")
        assert len(counts) == 2, table
        assert len(set(counts)) == 1, table
    models = query(run, "select distinct iteration, model from responses order by all")
    assert models == [(1, "loopback"), (2, "next")]
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


def test_a_seed_decides_all(
    tmp_path: Path, finished_round: FinishedRound, prompts: Path, server: LoopbackServer
) -> None:
    """`test_how_it_is_run_changes_no_row` shows that the same seed gives the same rows."""
    assert refine.main(command(tmp_path / "other", prompts, server.url, "--seed", "1")) == 0
    seeds = {body["seed"] for body in finished_round.bodies}
    assert len(seeds) == len(finished_round.bodies)
    assert not seeds & {body["seed"] for body in server.bodies}
    roots = "select root_response_id from trees order by all"
    assert query(finished_round.run, roots) != query(tmp_path / "other", roots)


def test_actor_and_refiner_may_differ(
    tmp_path: Path, prompts: Path, server: LoopbackServer
) -> None:
    server.models = ["a", "r"]
    options = ["--actor_model", "a", "--refiner_model", "r"]
    assert refine.main(command(tmp_path / "run", prompts, server.url, *options)) == 0
    assert {(role(body), body["model"]) for body in server.bodies} == {
        ("actor", "a"),
        ("judge", "r"),
        ("refine", "r"),
    }
    assert query(tmp_path / "run", "select distinct model from trees") == [("r",)]


def test_ties_and_unread_votes_grow_no_tree(tmp_path: Path) -> None:
    votes = {"tie": "YNYN?", "unread": "?????", "few": "NN???", "no": "NNNY?", "yes": "YYY??"}
    said = {"Y": "Final Judgement: Yes", "N": "Final Judgement: No", "?": "Who knows."}

    def answer(body: Body) -> Answer:
        if role(body) == "actor":
            return [body["messages"][0]["content"]] * body["n"]
        if role(body) == "refine":
            return ["[[start]] yes [[end]]"] * body["n"]
        output = body["messages"][0]["content"].rpartition('Output: "')[2].partition('"')[0]
        return [said[vote] for vote in votes[output]][: body["n"]]

    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", votes)
    with serving(answer) as server:
        once = ("--ask_again", "0")
        assert refine.main(command(tmp_path / "run", prompts, server.url, *once)) == 0
    held = query(
        tmp_path / "run",
        "select distinct prompt, verdict, value, yes_votes, no_votes, unparsed_votes "
        "from judgements join prompts using (prompt_id) order by all",
    )
    assert held == [
        ("few", "no_quorum", 0.0, 0, 2, 3),
        ("no", "no", 0.25, 1, 3, 1),
        ("tie", "tie", 0.5, 2, 2, 1),
        ("unread", "no_quorum", None, 0, 0, 5),
        ("yes", "yes", 1.0, 3, 0, 2),
    ]
    trees = "select prompt, solved, refinements from trees join prompts using (prompt_id)"
    assert query(tmp_path / "run", trees) == [("no", True, 3)]


def test_a_response_that_was_cut_off_is_no_root(tmp_path: Path) -> None:
    def answer(body: Body) -> Answer | web.Response:
        asked = body["messages"][0]["content"]
        if role(body) == "refine":
            return ["[[start]] mended [[end]]"] * body["n"]
        if role(body) == "judge":
            return [f"Final Judgement: {'Yes' if 'mended' in asked else 'No'}"] * body["n"]
        whole = asked.startswith("some")
        choices = [
            {
                "finish_reason": "stop" if whole and number == 3 else "length",
                "message": {"content": "whole" if whole and number == 3 else f"cut {number}"},
            }
            for number in range(body["n"])
        ]
        return web.json_response({"choices": choices, "usage": {}})

    asked = [*(f"some whole {number}" for number in range(6)), "all cut"]
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", asked)
    with serving(answer) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
    held = query(
        tmp_path / "run",
        "select r.prompt, left(p.rejected[1].content, 3) from pairs p "
        "join prompts r using (prompt_id) order by all",
    )
    assert held == [(prompt, "who") for prompt in asked[:6]]
    left = query(tmp_path / "run", "select why, responses from left_out_responses")
    assert left == [("length", 6 * 4 + 5)]


def test_a_refinement_equal_to_its_root_is_no_pair(tmp_path: Path) -> None:
    def answer(body: Body) -> Answer:
        if role(body) == "actor":
            return ["same"] * body["n"]
        if role(body) == "refine":
            return ["[[start]] same [[end]]"] * body["n"]
        asked.append(body)
        return [f"Final Judgement: {'No' if len(asked) <= 5 else 'Yes'}"] * body["n"]

    asked: list[Body] = []
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", ["one"])
    with serving(answer) as server:
        assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
    assert query(tmp_path / "run", "select solved from trees") == [(True,)]
    assert query(tmp_path / "run", "select count(*) from pairs") == [(0,)]


def test_nothing_to_refine_is_a_result(
    tmp_path: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", ["easy", "easy too"])
    assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
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
    finished_run: Path, prompts: Path, server: LoopbackServer, request: pytest.FixtureRequest
) -> None:
    run = f"memory://{request.node.name}/run"
    options = ["--run", run, "--prompts", str(prompts), "--engine_url", server.url]
    assert refine.main(options) == 0
    assert tables(run) == tables(finished_run)
    asked = len(server.bodies)
    assert refine.main(options) == 0
    assert len(server.bodies) == asked


@pytest.mark.parametrize("name", ["runs [1] it's 50%", "model=x/iteration=9 a*b?c"])
def test_a_run_may_have_any_name(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer, name: str
) -> None:
    run = tmp_path / name
    assert refine.main(command(run, prompts, server.url)) == 0
    assert tables(run) == tables(finished_run)
    asked, held = len(server.bodies), rounds.files(run)
    assert refine.main(command(run, prompts, server.url)) == 0
    assert len(server.bodies) == asked
    assert rounds.files(run) == held


@pytest.mark.parametrize("name", ["it's a run", "runs [1]", "50%", "model=x/iteration=9", "a*b?c"])
def test_a_run_of_any_name_is_found_again(
    tmp_path: Path, finished_run: Path, prompts: Path, server: LoopbackServer, name: str
) -> None:
    run = tmp_path / name
    shutil.copytree(finished_run, run)
    held = rounds.files(run)
    assert refine.main(command(run, prompts, server.url)) == 0
    assert not server.bodies
    assert rounds.files(run) == held


def test_off_a_terminal_it_is_plain_and_short(
    tmp_path: Path, prompts: Path, server: LoopbackServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refine.main(command(tmp_path / "run", prompts, server.url)) == 0
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
