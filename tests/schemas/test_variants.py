"""Views and macros over a run that holds several variants and methods of an iteration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas.failures import Failure
from schemas.prompts import Prompt
from schemas.questions import VIEWS
from schemas.verifiers import Verifier
from schemas.views import connect
from tests.schemas import variants
from tests.schemas.test_views import drop_columns
from tests.schemas.variants import commit, tree_id


@pytest.fixture
def run(tmp_path: Path) -> str:
    variants.write(str(tmp_path))
    return str(tmp_path)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to such a run; for reading only."""
    folder = str(tmp_path_factory.mktemp("held"))
    variants.write(folder)
    with connect(folder, locked=True) as connection:
        yield connection


Held = duckdb.DuckDBPyConnection


def asked(held: Held, query: str) -> list[tuple[Any, ...]]:
    return held.execute(query).fetchall()


def test_every_view_of_an_iteration_tells_variants_apart(held: Held) -> None:
    for name in VIEWS:
        columns = held.sql(f"from {name}").columns
        assert ("iteration" in columns) == ("variant" in columns), name
        assert ("method" in columns) == (
            "pairs" in columns
            or name in {"duplicates", "pair_tokens", "method_overlap", "prompts_not_taken"}
        )


def test_pairs_are_told_apart_by_variant_and_method(held: Held) -> None:
    keys = [
        (1, "dfs", "spar"),
        (1, "main", "independent"),
        (1, "main", "spar"),
        (1, "votes3", "spar"),
    ]
    quality = asked(held, "select iteration, variant, method, pairs, depth from pair_quality")
    assert quality == [
        (*key, count, depth)
        for key, count, depth in zip(keys, (2, 1, 1, 1), (1, None, 1, 1), strict=True)
    ]
    bias = asked(held, "select iteration, variant, method, chars_longer from length_bias")
    assert bias == [(*key, more) for key, more in zip(keys, (4.0, 0.0, 5.0, 7.0), strict=True)]
    steps = "select iteration, variant, method, at_least, share from similarity_histogram"
    assert asked(held, steps) == [
        (*key, at, 1.0) for key, at in zip(keys, (0.9, 0.5, 0.9, 0.9), strict=True)
    ]


def test_a_response_refined_twice_is_no_duplicate(held: Held) -> None:
    found = asked(held, "select texts, variant, method, rows from duplicates where repeated = 0")
    assert ("rejected sides", "dfs", "spar", 2) in found
    assert ("rejected sides", "main", "independent", 1) in found
    assert ("prompts", None, None, 2) in found
    assert len(found) == 9
    assert asked(held, "from duplicates where repeated > 0") == []


def test_judgements_are_counted_for_those_who_made_them(held: Held) -> None:
    verdicts = "select variant, verdict, responses from verdicts"
    assert asked(held, verdicts) == [("main", "no", 2), ("main", "yes", 2), ("votes3", "no", 4)]
    agreement = "select variant, judged, judgements from vote_agreement order by all"
    assert asked(held, agreement) == [
        ("dfs", "nodes", 2),
        ("main", "nodes", 2),
        ("main", "responses", 2),
        ("main", "responses", 2),
        ("votes3", "nodes", 1),
        ("votes3", "responses", 4),
    ]
    values = "select variant, value, responses, nodes from judgement_values where value = 0.8"
    assert asked(held, values) == [("dfs", 0.8, 0, 2), ("main", 0.8, 2, 2), ("votes3", 0.8, 0, 1)]
    bias = "select variant, stage, checked from judge_bias"
    assert asked(held, bias) == [
        ("dfs", "tree_search", 2),
        ("main", "judge", 4),
        ("main", "tree_search", 2),
        ("votes3", "judge", 4),
        ("votes3", "tree_search", 1),
    ]
    equal = "select variant, responses from equal_responses"
    assert asked(held, equal) == [("main", 4)]


def test_trees_are_told_apart_by_variant(held: Held) -> None:
    depths = "select variant, depth, trees, share_of_all_trees from solved_by_depth"
    assert asked(held, depths) == [
        ("dfs", 1, 2, 1.0),
        ("main", 0, 1, 0.0),
        ("main", 1, 1, 0.5),
        ("votes3", 1, 1, 1.0),
    ]
    shape = "select variant, depth, nodes, refined_further from tree_shape where depth = 0"
    assert asked(held, shape) == [("dfs", 0, 2, 2), ("main", 0, 2, 2), ("votes3", 0, 1, 1)]
    needed = "select variant, refinements, trees, share_solved_so_far from refinements_needed"
    assert asked(held, needed) == [("dfs", 1, 2, 1.0), ("main", 1, 2, 0.5), ("votes3", 1, 1, 1.0)]
    gains = "select variant, refinements, value_before, value_after from refinement_gains"
    assert asked(held, gains) == [
        ("dfs", 2, 0.2, 0.8),
        ("main", 2, 0.2, 0.8),
        ("votes3", 1, 0.2, 0.8),
    ]
    spent = "select variant, items, longest from token_percentiles where item = 'tree'"
    assert asked(held, spent) == [("dfs", 2, 400), ("main", 2, 2000), ("votes3", 1, 500)]


def test_token_percentiles_are_those_of_the_rows(held: Held) -> None:
    told = "select p50, p90, p99 from token_percentiles where item = 'tree' order by variant"
    rows = """
        select quantile_disc(completion_tokens, [0.5, 0.9, 0.99]) from trees
        group by variant order by variant"""
    assert [list(row) for row in asked(held, told)] == [row for (row,) in asked(held, rows)]


def test_a_connection_shows_the_rows_of_a_variant_alone(run: str) -> None:
    count = "select count(*), min(variant), max(variant) from {}"
    with connect(run, ("trees", "judgements"), made_by={"trees": {"tree_search": "dfs"}}) as held:
        assert asked(held, count.format("trees")) == [(2, "dfs", "dfs")]
        assert asked(held, count.format("judgements")) == [(8, "main", "votes3")]


def test_a_prompt_that_any_variant_solves_is_solved(held: Held) -> None:
    assert asked(held, "from unsolved_prompts") == []
    found = asked(held, "select prompt_id, solved, refinements from hardest_prompts()")
    assert found == [("pa", True, 3), ("pb", True, 2)]


def test_tokens_stand_where_they_were_spent_and_count_for_all_who_use_them(held: Held) -> None:
    assert asked(held, "from token_cost") == [
        (1, "dfs", "judge", "main", None, None, 200),
        (1, "dfs", "sample", "main", None, None, 20),
        (1, "dfs", "tree_search", "dfs", 60, 700, 350),
        (1, "main", "judge", "main", 80, 400, 200),
        (1, "main", "sample", "main", 20, 40, 20),
        (1, "main", "tree_search", "main", 60, 3000, 3000),
        (1, "votes3", "judge", "votes3", 80, 240, 120),
        (1, "votes3", "sample", "main", None, None, 20),
        (1, "votes3", "tree_search", "votes3", 30, 500, 500),
    ]
    assert asked(held, "select sum(completion_tokens) from token_cost") == [(4880,)]
    tables = ("responses", "judgements", "trees")
    spent = [asked(held, f"select sum(completion_tokens)::int from {table}") for table in tables]
    assert spent == [[(40,)], [(640,)], [(4200,)]]
    each = "select pair_id, sample, judge, tree_search, tokens from pair_tokens order by all"
    assert asked(held, each) == [
        ("i1.pa.independent", 20, 200, None, 220),
        ("i1.pa.r0.dfs.t.pair", 20, 200, 300, 520),
        ("i1.pa.r0.t.pair", 20, 200, 1000, 1220),
        ("i1.pa.r0.votes3.t.pair", 20, 120, 500, 640),
        ("i1.pb.r0.dfs.t.pair", 20, 200, 400, 620),
    ]


def test_one_query_compares_variants_and_methods(held: Held) -> None:
    assert asked(held, "from variants") == [
        (1, "dfs", "spar", 2, 2, 2, 2, 0.9, 4.0, 1.0, 700, 440, 570, 1.0),
        (1, "main", "independent", 1, None, None, 1, 0.5, 0.0, 0.0, 220, 0, 220, 1.0),
        (1, "main", "spar", 2, 2, 1, 1, 0.9, 5.0, 1.0, 3440, 0, 3440, 1.0),
        (1, "votes3", "spar", 1, 1, 1, 1, 0.9, 7.0, 1.0, 620, 20, 640, 1.0),
    ]
    assert held.sql("from variants").columns == [
        *("iteration", "variant", "method", "prompts", "trees", "solved", "pairs"),
        *("similarity", "chars_longer", "share_longer", "completion_tokens", "shared_tokens"),
        *("tokens_per_pair", "share_confirmed"),
    ]


def test_an_evaluation_changes_nothing_of_the_comparison(run: str) -> None:
    views = ("variants", "token_cost", "pair_tokens", "pair_quality")
    with connect(run) as connection:
        held = [sorted(asked(connection, f"from {view}"), key=repr) for view in views]
    variants.evaluate(run)
    with connect(run) as connection:
        assert held == [sorted(asked(connection, f"from {view}"), key=repr) for view in views]


def test_an_variant_without_trees_of_its_own_pays_for_none(run: str) -> None:
    pair = dataclasses.replace(variants.independent("pb"), rejected_checked=None)
    commit(run, "independent", {"pairs": [pair]}, "other")
    with connect(run) as connection:
        [row] = asked(connection, "from variants where variant = 'other'")
        stages = asked(connection, "select stage from token_cost where variant = 'other'")
    assert row == (1, "other", "independent", 2, None, None, 1, 0.5, 0.0, 0.0, 0, 440, 440, None)
    assert stages == [("judge",), ("sample",)]


def test_what_was_asked_for_verifiers_is_a_cost_of_their_pairs(run: str) -> None:
    told = (None, 0, 0, 0, None, None, None, "", "m")
    made = [
        Verifier(f"v{n}", "pb", "def f", [], *told, 5, tokens) for n, tokens in ((0, 30), (1, 4))
    ]
    pair = dataclasses.replace(variants.independent("pb"), method="autoif")
    commit(run, "verifiers", {"verifiers": made}, "programs")
    commit(run, "autoif", {"pairs": [pair]}, "programs")
    with connect(run) as connection:
        query = "select method, completion_tokens from variants where variant = 'programs'"
        assert asked(connection, query) == [("autoif", 34)]


def test_an_variant_without_pairs_is_there(run: str) -> None:
    grown = variants.tree("pb", "new", 50, solved=False)
    commit(run, "tree_search", {"trees": [grown]}, "new")
    with connect(run) as connection:
        [row] = asked(connection, "from variants where variant = 'new'")
    assert row == (1, "new", None, 2, 1, 0, 0, None, None, None, 50, 440, None, None)


def test_prompts_kept_for_evaluation_are_no_cost_of_pairs(tmp_path: Path) -> None:
    run = str(tmp_path)
    variants.write(run)
    commit(run, "prompts", {"prompts": [Prompt("pz", "Say pz.", "f:9", 9, None, "test")]})
    judged = variants.judgement("pz", 0, "main", 7000)
    rows = {
        "responses": [variants.response("pz", 0)],
        "judgements": [judged],
        "trees": [variants.tree("pz", "main", 8000, solved=True)],
    }
    commit(run, "sample", rows)
    with connect(run) as connection:
        asked_of = "select prompts, trees, solved, tokens_per_pair from variants"
        assert asked(connection, f"{asked_of} where (variant, method) = ('main', 'spar')") == [
            (2, 2, 1, 3440)
        ]


@pytest.mark.parametrize("variant", ["main", "dfs", "votes3"])
def test_a_pair_is_shown_with_its_own_variants_nodes(held: Held, variant: str) -> None:
    name = tree_id("pa", variant)
    columns = "variant, critique, reflection, critique_of_chosen, depth"
    assert asked(held, f"select {columns} from pair('{name}.pair')") == [
        (
            variant,
            f"{variant} found the root wanting",
            f"{variant} thought again",
            f"{variant} is content",
            1,
        )
    ]
    for known in (name, f"{name}.pair", f"{name}.0", f"{name}.0.refine", f"{name}.root"):
        found = asked(held, f"select node, response from tree('{known}')")
        assert found == [("root", "pa answered 0"), ("  0", f"pa refined by {variant}")]


@pytest.mark.parametrize("variant", ["main", "votes3"])
def test_an_independent_pair_is_shown_with_the_judgements_it_was_made_of(
    run: str, variant: str
) -> None:
    if variant != "main":
        pair = dataclasses.replace(variants.independent("pa"), pair_id="x")
        commit(run, "independent", {"pairs": [pair]}, variant)
    name = "i1.pa.independent" if variant == "main" else "x"
    with connect(run, locked=True) as connection:
        query = f"select critique, reflection, critique_of_chosen, depth from pair('{name}')"
        assert asked(connection, query) == [
            (f"{variant} judged 0", None, f"{variant} judged 1", None)
        ]
        assert asked(connection, f"from tree('{name}')") == []


def test_an_variant_may_be_called_like_a_part_of_an_id(run: str) -> None:
    commit(run, "tree_search", {"nodes": variants.nodes("pa", "t")}, "t")
    with connect(run) as connection:
        mains = asked(connection, "select node, response from tree('i1.pa.r0.t.pair')")
        its = asked(connection, "select node, response from tree('i1.pa.r0.t.t.0')")
    assert mains == [("root", "pa answered 0"), ("  0", "pa refined by main")]
    assert its == [("root", "pa answered 0"), ("  0", "pa refined by t")]


def test_failures_are_told_apart_by_variant(run: str) -> None:
    row = Failure("tree_search", "k", "too_long", "m", 1, "")
    commit(run, "tree_search", {"failures": [row]})
    commit(run, "tree_search", {"failures": [row, row]}, "dfs")
    with connect(run) as connection:
        found = asked(connection, "select variant, stage, items from failures_by_cause")
    assert found == [("dfs", "tree_search", 2), ("main", "tree_search", 1)]


def test_use_of_the_engine_is_the_variants_that_asked(run: str) -> None:
    dataset = variants.Dataset(run, 1)
    dataset.commit(
        "judge",
        "used",
        [variants.Settled("used", {})],
        {"requests": 4, "engine_s": 3.0, "replayed": 0, "slots_samples": 1},
    )
    with connect(run) as connection:
        query = "select variant, stage, requests, engine_s_per_pair from engine_use"
        assert asked(connection, query) == [("main", "judge", 4, 1.5)]


def test_a_run_of_earlier_times_is_mains_and_refined(tmp_path: Path) -> None:
    run = str(tmp_path)
    commit(run, "sample", {"responses": [variants.response("pa", 0)]})
    commit(run, "judge", {"judgements": [variants.judgement("pa", 0, "main", 100)]})
    pair = dataclasses.replace(variants.refined("pa", "main", 7), method="refined")
    commit(run, "pairs", {"pairs": [pair]})
    views = ("variants", "token_cost", "pair_tokens", "pair_quality", "lineage")
    with connect(run) as connection:
        new = [asked(connection, f"from {view}") for view in views]
    for table in ("responses", "judgements", "pairs"):
        drop_columns(run, 1, table, "variant")
    drop_columns(run, 1, "pairs", "chosen_response_id")
    with connect(run) as connection:
        assert [asked(connection, f"from {view}") for view in views] == new
        [row] = asked(connection, "select variant, method, pairs from variants")
    assert row == ("main", "spar", 1)
    assert all(new)


@pytest.mark.parametrize(
    ("filters", "reads"),
    [("iteration = 2", False), ("variant = 'dfs'", True), ("iteration = 1", True)],
)
def test_another_iteration_is_not_opened(held: Held, filters: str, reads: bool) -> None:
    query = f"explain select count(response) from nodes where {filters}"
    [(_, plan)] = held.execute(query).fetchall()
    assert ("READ_PARQUET" in plan) == reads
