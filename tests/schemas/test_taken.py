"""What variants that take few of an iteration's prompts cost: their own share of what is shared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.failures import Failure
from schemas.prompts import Prompt
from schemas.views import connect
from spar_core.dataset import Dataset, Settled
from tests.schemas import variants
from tests.schemas.variants import commit, settle

KEYS = [f"p{n:02}" for n in range(20)]
EASY = {"p02", "p05", "p07", "p11", "p19"}
"""Prompts of which no response fails: they need no tree."""
FEW = KEYS[:6]
"""What `--limit 6` takes."""


def judged(key: str, tokens: int) -> list[Any]:
    """Two judgements, the first of them No unless the prompt is easy."""
    rows = [variants.judgement(key, number, "main", tokens) for number in (0, 1)]
    if key in EASY:
        rows[0] = dataclasses.replace(rows[1], response_id=rows[0].response_id)
    return [dataclasses.replace(row, outcome=row.verdict) for row in rows]


def search(run: str, variant: str, keys: Sequence[str], tokens: int) -> None:
    """Grow a tree, which is solved, for each prompt that needs one; and make its pair."""
    needed = [key for key in keys if key not in EASY]
    trees = [variants.tree(key, variant, tokens, solved=True) for key in needed]
    commit(run, "tree_search", {"trees": trees}, variant)
    pairs = [variants.refined(key, variant, tokens) for key in needed]
    commit(run, "pairs", {"pairs": pairs}, variant)


def write(run: str, *few: str) -> None:
    """Write twenty prompts of `main` and variants of few: `dfs` searches the first six anew, and
    `votes3`, which judges them itself, does the first five."""
    prompts = [Prompt(key, f"Say {key}.", f"f:{n}", n) for n, key in enumerate(KEYS)]
    commit(run, "prompts", {"prompts": prompts})
    responses = [variants.response(key, number) for key in KEYS for number in (0, 1)]
    commit(run, "sample", {"responses": responses})
    commit(run, "judge", {"judgements": [row for key in KEYS for row in judged(key, 100)]})
    search(run, "main", KEYS, 1000)
    if "dfs" in few:
        search(run, "dfs", FEW, 300)
        link(run, "dfs", "tree_search")
    if "votes3" in few:
        judgements = [row for key in KEYS[:5] for row in judged(key, 60)]
        commit(run, "judge", {"judgements": judgements}, "votes3")
        search(run, "votes3", KEYS[:5], 500)
        link(run, "votes3", "judge", "tree_search")


def link(run: str, variant: str, *own: str) -> None:
    for stage in ("sample", "judge", "tree_search"):
        said = {"of": variant} if stage in own else {"as": "main"}
        settle(run, stage, variant, json.dumps(said))


@pytest.fixture
def run(tmp_path: Path) -> str:
    run = str(tmp_path / "run")
    write(run, "dfs", "votes3")
    return run


def asked(run: str, query: str) -> list[tuple[Any, ...]]:
    with connect(run) as connection:
        return connection.execute(query).fetchall()


def test_a_variant_took_the_prompts_up_to_the_next_that_it_would_have_done(run: str) -> None:
    left = "select prompt_id from prompts_not_taken where variant = '{}' and method = 'spar'"
    assert [key for (key,) in asked(run, left.format("dfs"))] == KEYS[6:]
    assert [key for (key,) in asked(run, left.format("votes3"))] == KEYS[5:]
    assert asked(run, left.format("main")) == [], "the last prompt needs no tree"


def test_shared_work_is_charged_by_the_prompts_that_were_taken(run: str) -> None:
    columns = "variant, prompts, trees, pairs, completion_tokens, shared_tokens, tokens_per_pair"
    assert asked(run, f"select {columns} from variants order by variant") == [
        ("dfs", 6, 4, 4, 1200, 6 * 220, (1200 + 6 * 220) / 4),
        ("main", 20, 15, 15, 15_000 + 20 * 220, 0, round((15_000 + 20 * 220) / 15)),
        ("votes3", 5, 4, 4, 2000 + 5 * 120, 5 * 20, (2000 + 5 * 140) / 4),
    ]
    each = "select stage, completion_tokens_per_pair from token_cost where variant = 'dfs'"
    assert asked(run, each) == [("judge", 300), ("sample", 30), ("tree_search", 300)]


def test_a_main_that_took_few_pays_for_these_alone(run: str) -> None:
    """Whoever asks for more first, what main did not take is no cost of its pairs."""
    few = str(Path(run).parent / "few")
    prompts = [Prompt(key, f"Say {key}.", f"f:{n}", n) for n, key in enumerate(KEYS)]
    commit(few, "prompts", {"prompts": prompts})
    responses = [variants.response(key, number) for key in KEYS for number in (0, 1)]
    commit(few, "sample", {"responses": responses})
    commit(few, "judge", {"judgements": [row for key in KEYS for row in judged(key, 100)]})
    search(few, "main", FEW, 1000)
    search(few, "dfs", KEYS, 300)
    query = "select variant, prompts, tokens_per_pair from variants order by variant"
    assert asked(few, query) == [("dfs", 20, 593), ("main", 6, (4000 + 6 * 220) / 4)]


def test_a_failure_after_the_last_tree_was_taken(run: str) -> None:
    failed = [Failure("tree_search", "p06", "too_long", "m", 1, "")]
    commit(run, "tree_search", {"failures": failed}, "dfs")
    assert asked(run, "select prompts from variants where variant = 'dfs'") == [(8,)], "p07 is easy"


def test_a_method_that_took_few_prompts_pays_for_these(run: str) -> None:
    took = [key for key in KEYS[:4] if key not in EASY]
    commit(run, "independent", {"pairs": [variants.independent(key) for key in took]})
    query = "select prompts, tokens_per_pair from variants where method = 'independent'"
    assert asked(run, query) == [(4, round(4 * 220 / 3))]
    spar = (
        "select prompts, tokens_per_pair from variants where (variant, method) = ('main', 'spar')"
    )
    assert asked(run, spar) == [(20, round((15_000 + 20 * 220) / 15))]


def test_methods_are_charged_their_share_of_what_engines_were_asked(run: str) -> None:
    for stage, variant, requests in (
        *(("sample", "main", 20), ("judge", "main", 40), ("tree_search", "main", 30)),
        *(("tree_search", "dfs", 8), ("judge", "votes3", 10), ("tree_search", "votes3", 6)),
    ):
        usage = {"requests": requests, "prompt_tokens": 10 * requests}
        usage |= {"completion_tokens": 100 * requests, "replayed": 0}
        settled = [Settled(f"u{stage}{variant}", {})]
        Dataset(run, 1).commit(stage, f"u{stage}{variant}", settled, usage, variant)
    columns = "variant, prompts, requests, prompt_tokens, completion_tokens, shared_tokens"
    assert asked(run, f"select {columns}, tokens_each from methods order by variant") == [
        ("dfs", 6, 6 + 12 + 8, 260, 2600, 1800, 650),
        ("main", 20, 90, 900, 9000, 6000, 600),
        ("votes3", 5, 5 + 10 + 6, 210, 2100, 1500, 525),
    ]


def test_prompts_kept_for_evaluation_are_no_cost_of_a_pair(run: str) -> None:
    before = asked(run, "select variant, stage, completion_tokens_per_pair from token_cost")
    commit(run, "prompts", {"prompts": [Prompt("pz", "Say pz.", "f:9", 20, None, "test")]})
    rows = {
        "responses": [variants.response("pz", 0)],
        "judgements": [variants.judgement("pz", 0, "main", 7000)],
        "trees": [variants.tree("pz", "main", 8000, solved=True)],
    }
    commit(run, "sample", rows)
    with connect(run) as connection:
        after = connection.execute(
            "select variant, stage, completion_tokens_per_pair from token_cost"
        ).fetchall()
        [(spent,)] = connection.execute(
            "select completion_tokens from token_cost where (variant, stage) = ('main', 'judge')"
        ).fetchall()
    assert after == before
    assert spent == 20 * 200 + 7000, "it was spent all the same"


def test_a_stage_is_a_cost_of_the_pairs_that_rest_on_it(run: str) -> None:
    """Main's ratings are no cost of pairs that nobody rated for, and its trees none of others."""
    rated = dataclasses.replace(variants.independent("p00"), method="self_rewarding")
    commit(run, "self_rewarding", {"pairs": [rated, dataclasses.replace(rated, pair_id="x")]})
    ratings = [variants.rating("p00", number, 50) for number in (0, 1)]
    commit(run, "rate", {"ratings": ratings})
    query = "select variant, stage, completion_tokens_per_pair from token_cost"
    told = {(variant, stage): tokens for variant, stage, tokens in asked(run, query)}
    assert told["main", "rate"] == 50
    assert told["main", "tree_search"] == 1000
    assert told["main", "judge"] == round(20 * 200 / 15)
    assert ("dfs", "rate") not in told


def test_engine_seconds_are_those_of_the_pairs_that_rest_on_a_stage(run: str) -> None:
    rated = dataclasses.replace(variants.independent("p00"), method="self_rewarding")
    commit(run, "self_rewarding", {"pairs": [rated]})
    for stage in ("rate", "tree_search", "decode"):
        usage = {"requests": 4, "engine_s": 30.0, "replayed": 0, "slots_samples": 1}
        Dataset(run, 1).commit(stage, f"u{stage}", [Settled(f"u{stage}", {})], usage)
    query = "select stage, engine_s_per_pair from engine_use"
    assert asked(run, query) == [("decode", None), ("rate", 30.0), ("tree_search", 2.0)]


def test_trees_without_a_pair_stand_beside_pairs_of_another_method(run: str) -> None:
    tree = variants.tree("p00", "other", 50, solved=False)
    commit(run, "tree_search", {"trees": [tree]}, "other")
    commit(run, "independent", {"pairs": [variants.independent("p00")]}, "other")
    query = "select method, trees, pairs, completion_tokens from variants where variant = 'other'"
    assert asked(run, query) == [("independent", None, 1, 0), ("spar", 1, 0, 50)]


def test_a_run_of_one_variant_and_method_pays_for_all_that_it_did(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    write(run)
    commit(run, "prompts", {"prompts": [Prompt("pz", "Say pz.", "f:9", 20)]})
    commit(run, "sample", {"responses": [variants.response("pz", 0)]})
    commit(run, "judge", {"judgements": judged("pz", 100)[:1]})
    assert asked(run, "from prompts_not_taken") == []
    assert asked(run, "select prompts from variants") == [(21,)]
    commit(run, "independent", {"pairs": [variants.independent("p00")]})
    assert asked(run, "select prompts from variants where method = 'spar'") == [(20,)]
