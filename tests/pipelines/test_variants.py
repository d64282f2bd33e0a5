"""Several settings and methods over the same responses of one iteration."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines import pairs, refine
from tests.loopback import Answer, Body, LoopbackServer, serving
from tests.pipelines import rounds
from tests.pipelines.rounds import command, query, role

FEWER = ["--responses", "3"]
TEXTS = [f"Prompt {n}: one line, please." for n in range(3)]


def script(body: Body) -> Answer:
    """As `rounds.story`, with good and bad answers to every prompt."""
    if role(body) == "actor":
        text = body["messages"][0]["content"]
        return [f"answer {i} to {text!r} q=0.{(i * 3) % 10}" for i in range(body["n"])]
    return rounds.story(body)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Body]]:
    """A run with four variants and two methods, and what was asked for it."""
    place = tmp_path_factory.mktemp("compared")
    prompts = rounds.write_prompts(place / "prompts.jsonl", TEXTS)
    with serving(script) as server:
        line = command(place / "run", prompts, server.url, *FEWER)
        for more in (
            "",
            "--variant dfs --strategy dfs",
            "--variant votes3 --votes 3",
            "--variant narrow --votes 3 --branch 1",
            "--method independent",
            "--method independent --variant votes3 --votes 3",
        ):
            assert refine.main([*line, *more.split()]) == 0
        return place / "run", server.bodies


def test_responses_are_made_once(compared: tuple[Path, list[Body]]) -> None:
    run, bodies = compared
    assert sum(role(body) == "actor" for body in bodies) == len(TEXTS)
    assert query(run, "select distinct variant from responses") == [("main",)]


def test_equal_settings_share_rows_and_others_have_their_own(
    compared: tuple[Path, list[Body]],
) -> None:
    run, _ = compared
    made = "select distinct variant from {} order by all"
    assert query(run, made.format("judgements")) == [("main",), ("votes3",)]
    assert query(run, made.format("trees")) == [
        ("dfs",),
        ("main",),
        ("narrow",),
        ("votes3",),
    ]
    links = query(
        run, "select variant, made_by from lineage where stage = 'judge' order by variant"
    )
    assert links == [
        ("dfs", "main"),
        ("main", "main"),
        ("narrow", "votes3"),
        ("votes3", "votes3"),
    ]
    votes = "select variant, min(len(votes)), max(len(votes)) from judgements group by 1 order by 1"
    assert query(run, votes) == [("main", 5, 5), ("votes3", 3, 3)]
    strategies = "select distinct variant, strategy from trees where variant in ('main', 'dfs')"
    assert sorted(query(run, strategies)) == [("dfs", "dfs"), ("main", "bfs")]


def test_no_two_rows_have_one_name(compared: tuple[Path, list[Body]]) -> None:
    run, _ = compared
    for table, column in rounds.IDS.items():
        key = f"{column}, variant" if table == "judgements" else column
        assert not query(run, f"select {key} from {table} group by {key} having count(*) > 1")


def test_pairs_come_of_their_own_variants_rows(compared: tuple[Path, list[Body]]) -> None:
    run, _ = compared
    kinds = query(run, "select method, variant, count(*) from pairs group by all order by all")
    assert [kind[:2] for kind in kinds] == [
        ("independent", "main"),
        ("independent", "votes3"),
        ("spar", "dfs"),
        ("spar", "main"),
        ("spar", "narrow"),
        ("spar", "votes3"),
    ]
    assert all(count > 0 for *_, count in kinds)
    assert not query(
        run,
        "select pair_id from pairs p anti join trees t "
        "on t.tree_id = p.tree_id and t.variant = p.variant where method = 'spar'",
    )
    assert not query(
        run,
        """select pair_id from pairs p
        left join judgements c
            on c.response_id = chosen_response_id and c.variant = p.variant
        left join judgements r
            on r.response_id = rejected_response_id and r.variant = p.variant
        where method = 'independent'
          and (c.verdict = 'yes' and r.verdict = 'no' and tree_id is null) is distinct from true""",
    )
    assert not query(
        run,
        "select rft_id from rft r anti join trees t on t.tree_id = r.tree_id "
        "and t.variant = r.variant where r.tree_id is not null",
    )


def test_one_query_compares_them(compared: tuple[Path, list[Body]]) -> None:
    run, _ = compared
    told = query(run, "select variant, method, pairs from variants where pairs > 0 order by all")
    counted = "select variant, method, count(*) from pairs group by all order by all"
    assert told == query(run, counted)
    assert len(told) == 6


def test_a_variant_goes_on_and_asks_nothing_again(
    compared: tuple[Path, list[Body]], tmp_path: Path
) -> None:
    run, _ = compared
    held = rounds.files(run)
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    with serving(script) as server:
        line = command(run, prompts, server.url, *FEWER, "--variant", "votes3", "--votes", "3")
        assert refine.main(line) == 0
        assert not server.bodies
        assert pairs.main(["--run", str(run), "--variant", "votes3"]) == 0
    assert rounds.files(run) == held


def test_other_settings_of_a_variant_are_refused(
    compared: tuple[Path, list[Body]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = compared
    held = rounds.files(run)
    prompts = rounds.write_prompts(tmp_path / "prompts.jsonl", TEXTS)
    with serving(script) as server:
        line = command(run, prompts, server.url, *FEWER, "--variant", "dfs", "--strategy", "dfs")
        assert refine.main([*line, "--branch", "2"]) == 5
        assert "search.branch: 3 -> 2" in capsys.readouterr().err
        assert refine.main([*line, "--responses", "2"]) == 5
        assert not server.bodies
    assert rounds.files(run) == held


def test_a_selection_over_the_run_ignores_the_limit(
    tmp_path: Path, small_run: Path, few: Path, server: LoopbackServer
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    held = rounds.tables(run)
    assert pairs.main(["--run", str(run), "--limit", "2", "--seed", "1"]) == 0
    assert rounds.tables(run) == held
    assert refine.main(rounds.small(run, few, server.url, "--limit", "1")) == 0
    assert rounds.tables(run) == held
