"""Methods in which the actor rates its own answers: whole rounds, killed ones, beside others."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import pairs, refine
from schemas.selection import Choice
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.pipelines.gates import Begin, Gate, finish, kill
from tests.pipelines.rounds import command, query, tables, write_prompts
from training.data import select

TEXTS = [f"Prompt {n}: one line, please." for n in range(6)]
QUALITIES = (3, 0, 5, 5, 1)
"""Of the answers to a prompt, in their order: what a rating says on average."""


def role(body: Body) -> str:
    last = body["messages"][-1]["content"]
    if "Better grader:" in last:
        return "meta"
    return "rate" if "Score:" in last else rounds.role(body)


def script(body: Body) -> Answer:
    """Answers of known qualities; of the last prompt all are as good.

    Ratings are right but for one of three, which is one point off; a comparison finds the better
    one, but for a bias to the first where both are equally far off.
    """
    last, n = body["messages"][-1]["content"], body.get("n", 1)
    if role(body) == "actor":
        alike = "Prompt 5" in last
        qualities = [1 if alike else quality for quality in QUALITIES]
        return [f"answer {i} {'x' * i} q={q / 5}" for i, q in enumerate(qualities)]
    if role(body) == "rate":
        right = round(5 * float(re.findall(r"q=(\d\.\d)", last)[-1]))
        off = right - 1 if right else 1
        return [f"Points: {i}.\nScore: {off if i == 1 else right}" for i in range(n)]
    if role(body) == "meta":
        right = round(5 * float(re.findall(r"q=(\d\.\d)", last)[0]))
        first, second = (abs(int(score) - right) for score in re.findall(r"Score: (\d)", last))
        return [f"Comparison: so.\nBetter grader: {'A' if first <= second else 'B'}"]
    return rounds.story(body)


def rewarding(place: Path, url: str, method: str, *more: str) -> list[str]:
    prompts = write_prompts(place / "prompts.jsonl", TEXTS)
    return command(place / "run", prompts, url, "--method", method, *more)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Body]]:
    """A run that holds four methods and a variant of one, and what was asked for it."""
    place = tmp_path_factory.mktemp("rewarding")
    with serving(script) as server:
        for method in ("spar", "independent", "self_rewarding", "meta_rewarding"):
            assert refine.main(rewarding(place, server.url, method)) == 0
        strict = ["--method", "meta_rewarding", "--variant", "strict", "--rho", "0"]
        assert pairs.main(["--run", str(place / "run"), *strict]) == 0
        return place / "run", server.bodies


def number(response: str) -> int:
    return int(response.rpartition(".r")[2])


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
    assert query(run, "select distinct method, variant from judge_pairs") == [
        ("meta_rewarding", "main")
    ]


def test_self_rewarding_pairs_the_best_mean_with_the_worst(
    side_by_side: tuple[Path, list[Body]],
) -> None:
    run, _ = side_by_side
    rows = query(
        run,
        "select chosen_response_id, rejected_response_id, chosen_value, rejected_value, "
        "prompt[1].content, chosen[1].content, rejected[1].content, chosen_chars "
        "from pairs where method = 'self_rewarding' order by prompt[1].content",
    )
    assert [row[4] for row in rows] == TEXTS[:5], "equal means make no pair"
    for chosen, rejected, high, low, _, text, other, chars in rows:
        assert number(chosen) in (2, 3) and number(rejected) == 1
        assert (high, low) == (pytest.approx(14 / 3), pytest.approx(1 / 3))
        assert text.startswith(f"answer {number(chosen)} ") and other.startswith("answer 1 ")
        assert chars == len(text)


def test_meta_rewarding_holds_the_length(side_by_side: tuple[Path, list[Body]]) -> None:
    """Of the two best answers the shorter one; among the low ones the longer one within rho."""
    run, _ = side_by_side
    sides = (
        "select chosen_response_id, rejected_response_id from pairs "
        "where method = 'meta_rewarding' and variant = '{}'"
    )
    made = {(number(c), number(r)) for c, r in query(run, sides.format("main"))}
    assert made == {(2, 4)}, "means of 0.33 and 0.67 are less than a tenth of the range apart"
    strict = {(number(c), number(r)) for c, r in query(run, sides.format("strict"))}
    assert strict == {(2, 1)}


def test_the_right_rating_is_preferred_over_the_wrong_one(
    side_by_side: tuple[Path, list[Body]],
) -> None:
    run, _ = side_by_side
    battles = query(
        run,
        "select prompt_id, count(*), count(distinct response_id), count(winner) "
        "from battles group by all",
    )
    assert len(battles) == len(TEXTS)
    assert {row[1:] for row in battles} == {(6, 1, 6)}, "three ratings, both orders"
    made: list[tuple[Any, ...]] = query(
        run,
        "select response_id, chosen_rating_id, rejected_rating_id, chosen_elo, rejected_elo, "
        "chosen_score, rejected_score, prompt[1].content, chosen[1].content, rejected[1].content "
        "from judge_pairs where variant = 'main'",
    )
    assert len(made) == len(TEXTS)
    for response, chosen, rejected, high, low, score, wrong, asked, text, other in made:
        assert {chosen, rejected} <= {f"{response}.s{i}" for i in range(3)}
        assert rejected == f"{response}.s1", "the one that is off"
        assert high > 0 > low and abs(score - wrong) == 1
        assert text.endswith(f"Score: {score:.0f}") and other.endswith(f"Score: {wrong:.0f}")
        assert "You grade a Response" in asked and "answer" in asked


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
            assert gate.shut.wait(60), process.communicate()
            kill(process)
        gate.open()
        assert finish(begin(*line))[0] == 0
        assert len(server.bodies) < 2 * asked
    assert tables(tmp_path / "run") == tables(whole / "run")


def test_unreadable_ratings_are_counted_and_make_no_mean(tmp_path: Path) -> None:
    """Of three ratings of the best answer one can be read, of all others two."""

    def mumbling(body: Body) -> Answer:
        answers = script(body)
        if role(body) != "rate":
            return answers
        assert isinstance(answers, list)
        readable = 1 if "q=1.0" in body["messages"][-1]["content"] else 2
        return [*answers[:readable], *("I cannot say." for _ in answers[readable:])]

    with serving(mumbling) as server:
        assert refine.main(rewarding(tmp_path, server.url, "self_rewarding")) == 0
    run = tmp_path / "run"
    assert query(run, "select count(*) filter (score is null), count(*) from ratings") == [(40, 90)]
    chosen = query(run, "select distinct chosen_value, rejected_value from pairs")
    assert chosen == [(2.5, 0.5)], "answer 0 with a 3 and a 2, answer 1 with a 0 and a 1"


def test_a_place_that_always_wins_says_nothing(tmp_path: Path) -> None:
    def biased(body: Body) -> Answer:
        return ["Better grader: A"] if role(body) == "meta" else script(body)

    with serving(biased) as server:
        assert refine.main(rewarding(tmp_path, server.url, "meta_rewarding")) == 0
    assert query(tmp_path / "run", "select count(*) from battles where winner = 'first'") == [(36,)]
    assert query(tmp_path / "run", "select count(*) from judge_pairs") == [(0,)]


def test_whatever_the_way_through_the_prompts_the_tables_are_the_same(tmp_path: Path) -> None:
    """All at once; a few first, so that the weights of places change; together in one pipeline."""
    ways: dict[str, list[list[str]]] = {"whole": [[]], "more": [["--limit", "2"], []]}
    ways["together"] = [["--together"]]
    for way, commands in ways.items():
        (tmp_path / way).mkdir()
        with serving(script) as server:
            line = rewarding(tmp_path / way, server.url, "meta_rewarding")
            for more in commands:
                assert refine.main([*line, *more]) == 0
    held = tables(tmp_path / "whole" / "run")
    assert len(held["judge_pairs"]) == len(TEXTS)
    assert tables(tmp_path / "more" / "run") == held
    assert tables(tmp_path / "together" / "run") == held


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
    assert "pip install 'choix" in capsys.readouterr().err


def test_all_orders_of_all_ratings_are_compared(side_by_side: tuple[Path, list[Body]]) -> None:
    run, _ = side_by_side
    fought = query(
        run, "select response_id, first_rating_id, second_rating_id from battles order by all"
    )
    for response in {row[0] for row in fought}:
        names = [f"{response}.s{i}" for i in range(3)]
        shown = [row[1:] for row in fought if row[0] == response]
        assert shown == sorted(itertools.permutations(names, 2))
