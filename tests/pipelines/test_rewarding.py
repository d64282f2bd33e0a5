"""Methods in which the actor rates its own answers: whole rounds, killed ones, beside others.

What their tables hold: tests/spar_core/methods/test_self_rewarding.py, test_meta_rewarding.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import pairs, refine
from schemas.selection import Choice
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import command, query, tables, write_prompts
from tests.spar_core.methods import actor
from tests.spar_core.methods.actor import TEXTS
from training.data import select


def role(body: Body) -> str:
    found = actor.role(body["messages"][-1]["content"])
    return rounds.role(body) if found == "answer" else found


def script(body: Body) -> Answer:
    """An actor whose answers, ratings and comparisons are known; judged and refined as ever."""
    if rounds.role(body) != "actor":
        return rounds.story(body)
    return actor.says(body["messages"][-1]["content"], body.get("n", 1))


def rewarding(place: Path, url: str, method: str, *more: str) -> list[str]:
    prompts = write_prompts(place / "prompts.jsonl", TEXTS)
    return command(place / "run", prompts, url, "--method", method, *more)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Body]]:
    """A run that holds four methods and a variant of one, and what was asked for it."""
    place = tmp_path_factory.mktemp("rewarding")
    with serving(script) as server:
        assert refine.main(rewarding(place, server.url, "spar", "--branch", "1")) == 0
        for method in ("independent", "self_rewarding", "meta_rewarding"):
            assert refine.main(rewarding(place, server.url, method)) == 0
        strict = ["--method", "meta_rewarding", "--variant", "strict", "--rho", "0"]
        assert pairs.main(["--run", str(place / "run"), *strict]) == 0
        return place / "run", server.bodies


def test_what_methods_share_is_asked_for_once(side_by_side: tuple[Path, list[Body]]) -> None:
    run, bodies = side_by_side
    asked = [role(body) for body in bodies]
    assert asked.count("actor") == len(TEXTS)
    assert asked.count("rate") == 5 * len(TEXTS)
    assert asked.count("meta") == 6 * len(TEXTS)
    assert query(run, "select count(*) from responses") == [(5 * len(TEXTS),)]
    assert query(run, "select count(*), count(distinct rating_id) from ratings") == [(90, 90)]


def test_methods_stand_side_by_side_without_mixing(side_by_side: tuple[Path, list[Body]]) -> None:
    run, _ = side_by_side
    assert not query(run, "select pair_id from pairs group by all having count(*) > 1")
    made = "select method, count(*) from pairs where variant = 'main' group by all"
    counted = dict(query(run, made))
    assert counted.keys() == {"spar", "independent", "self_rewarding", "meta_rewarding"}
    assert counted["self_rewarding"] == counted["meta_rewarding"] == 5
    rated = "method in ('self_rewarding', 'meta_rewarding')"
    assert not query(run, f"from pairs where {rated} and (tree_id is not null or depth > 0)")
    assert not query(run, f"from pairs where not {rated} and chosen_value > 1")
    strict = "select distinct rejected_response_id[-2:] from pairs where variant = 'strict'"
    assert query(run, strict) == [("r1",)], "--rho 0 reached the stage"
    assert query(run, "select distinct method, variant from judge_pairs") == [
        ("meta_rewarding", "main")
    ]


def test_both_kinds_of_pairs_are_trained_on_together(
    side_by_side: tuple[Path, list[Body]],
) -> None:
    run, _ = side_by_side
    files = f"{run}/*pairs/iteration=1/*.parquet"
    wanted = [("prompt", "chosen", "rejected")]
    choice = Choice(("meta_rewarding",), ("main",))
    rows = select(files, "pairs", wanted, choice=choice).rows
    assert len(rows) == 5 + len(TEXTS)
    ratings = select(files, "pairs", wanted, "chosen_elo is not null", choice).rows
    assert len(ratings) == len(TEXTS)


def test_the_views_count_what_each_method_asked(side_by_side: tuple[Path, list[Body]]) -> None:
    run, _ = side_by_side
    spent = dict(query(run, "select stage, completion_tokens from token_cost where variant='main'"))
    sums = "select sum(completion_tokens) from "
    for stage, table in (("rate", "ratings"), ("meta_judge", "battles"), ("judge", "judgements")):
        assert [(spent[stage],)] == query(run, sums + table)
    costs = query(
        run,
        "select method, pairs * tokens_per_pair, completion_tokens from variants "
        "where variant = 'main'",
    )
    shared = spent["sample"]
    wanted = {
        "spar": shared + spent["judge"] + spent["tree_search"],
        "independent": shared + spent["judge"],
        "self_rewarding": shared + spent["rate"],
        "meta_rewarding": shared + spent["rate"] + spent["meta_judge"],
    }
    assert {method: tokens for method, _, tokens in costs} == wanted
    of_pairs = query(
        run,
        "select pair_id, sample, rate, tokens from pair_tokens where method = 'self_rewarding'",
    )
    assert len({name for name, *_ in of_pairs}) == len(of_pairs) == 5
    assert all(tokens == sample + rate for _, sample, rate, tokens in of_pairs)


def test_a_pair_is_shown_with_the_ratings_that_made_it(
    side_by_side: tuple[Path, list[Body]],
) -> None:
    run, _ = side_by_side
    shown = "select critique, critique_of_chosen from pair('i1.' || (select prompt_id from prompts "
    shown += "where prompt like 'Prompt 0%') || '.{}.pair')"
    assert query(run, shown.format("self_rewarding")) == [
        ("Points: 0.\nScore: 0", "Points: 0.\nScore: 5")
    ]
    [(found, better)] = query(run, shown.format("independent"))
    assert "Final Judgement: No" in found and "Final Judgement: Yes" in better
    scores = query(run, "select score, ratings from rating_scores")
    assert sum(ratings for _, ratings in scores) == 90 and len(scores) == 6
    assert query(run, "select winner, battles from battle_outcomes") == [
        ("first", 24),
        ("second", 12),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["self_rewarding", "meta_rewarding"])
def test_killed_at_any_stage_it_goes_on(tmp_path: Path, begin: Begin, method: str) -> None:
    whole, gate = tmp_path / "whole", Gate(tmp_path / "run", script)
    whole.mkdir()
    with serving(script) as server:
        assert refine.main(rewarding(whole, server.url, method)) == 0
        asked = len(server.bodies)
    stages = ("rate", "meta_judge") if method == "meta_rewarding" else ("rate",)
    with serving(gate) as server:
        line = rewarding(tmp_path, server.url, method, "--slots", "1")
        for stage in stages:
            gate.set(stage, 1)
            process = begin(*line)
            assert gate.shut.wait(300), process.communicate()
            kill(process)
        gate.open()
        assert finish(begin(*line))[0] == 0
        assert len(server.bodies) < 2 * asked
    assert tables(tmp_path / "run") == tables(whole / "run")


def of_meta_rewarding(run: Path) -> dict[str, list[str]]:
    """The rows of a run that meta-rewarding made in the main variant."""
    own = "where method = 'meta_rewarding' and variant = 'main'"
    queries = {
        "prompts": "select * exclude (source) from prompts",
        **{name: f"from {name}" for name in ("responses", "ratings", "battles")},
        **{name: f"from {name} {own}" for name in ("pairs", "judge_pairs")},
    }
    return {name: sorted(map(repr, query(run, sql))) for name, sql in queries.items()}


def test_whatever_the_way_through_the_prompts_the_tables_are_the_same(
    tmp_path: Path, side_by_side: tuple[Path, list[Body]]
) -> None:
    """All at once; a few first, so that the weights of places change; together in one pipeline."""
    held = of_meta_rewarding(side_by_side[0])
    assert len(held["judge_pairs"]) == len(TEXTS)
    for way, commands in {"more": [["--limit", "2"], []], "together": [["--together"]]}.items():
        (tmp_path / way).mkdir()
        with serving(script) as server:
            line = rewarding(tmp_path / way, server.url, "meta_rewarding")
            for more in commands:
                assert refine.main([*line, *more]) == 0
        run = tmp_path / way / "run"
        assert of_meta_rewarding(run) == held
        assert not [name for name, rows in tables(run).items() if rows and name not in held]


def test_a_server_cannot_be_held_to_the_form_of_ratings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = rewarding(tmp_path, "http://127.0.0.1:9", "self_rewarding", "--constrained", "on")
    assert refine.main(line) == 2
    assert "for the actor" in capsys.readouterr().err


def test_without_choix_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "choix", None)
    assert refine.main(rewarding(tmp_path, "http://127.0.0.1:9", "meta_rewarding")) == 2
    assert "needs the package choix: pip install '.[meta]'" in capsys.readouterr().err
