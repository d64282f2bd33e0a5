"""Names that follow from content and position, and from the variant where it made the row."""

from __future__ import annotations

from itertools import product

from spar_core.ids import node_id, pair_id, prompt_id, response_id, rft_id, tree_id


def test_names_are_those_of_early_runs() -> None:
    response = response_id(1, "p", 3)
    tree = tree_id(response)
    assert (response, tree) == ("i1.p.r3", "i1.p.r3.t")
    assert node_id(tree, ()) == "i1.p.r3.t.root"
    assert node_id(tree, (0, 12)) == "i1.p.r3.t.0.12"
    assert node_id(tree, (), 2) == "i1.p.r3.t.root.2"
    assert pair_id(tree) == "i1.p.r3.t.pair"
    assert rft_id("i1.p.r3.t.0.refine") == "i1.p.r3.t.0.refine"


def test_an_variants_own_rows_bear_its_name_once() -> None:
    assert response_id(1, "p", 3, "hot") == "i1.p.hot.r3"
    tree = tree_id("i1.p.r3", "dfs")
    assert tree == "i1.p.r3.dfs.t"
    assert pair_id(tree, "dfs") == "i1.p.r3.dfs.t.pair"
    assert pair_id("i1.p.r3.t", "dfs") == "i1.p.r3.t.dfs.pair"
    assert rft_id("i1.p.r3.judge", "dfs") == "i1.p.r3.judge.dfs"


def test_no_two_rows_have_one_name() -> None:
    places = list(product((1, 2), ("a", "b"), (0, 1), ("main", "x", "y")))
    responses = {response_id(*place) for place in places}
    trees = {tree_id(response, e) for response in responses for e in ("main", "x", "y")}
    assert len(responses) == len(places)
    assert len(trees) > 2 * len(places)


def test_a_prompt_is_named_by_its_text_alone() -> None:
    assert prompt_id("a") == prompt_id("a") != prompt_id("b")
    assert len(prompt_id("é" * 9000)) == 17
