"""Tree search: which failing response is refined, and what its tree holds."""

from __future__ import annotations

import pytest

from spar_core.engine.protocol import ChatRequest, PromptTooLong
from spar_core.stages.tree_search import TREE_SEARCH
from spar_core.testing import Made, run_stage
from tests.loopback import as_script, round_script
from tests.spar_core.rows import NO_COMMA, Tables, judged, prompts

PLAY = as_script(round_script)


@pytest.fixture
def tables() -> Tables:
    """Of `p` two failing responses and one that passed; of `q` none that failed."""
    made = prompts()
    judged(made, "i1.p.r0", "no", text="bad q=0.2")
    judged(made, "i1.p.r1", "no", text="as bad q=0.2")
    judged(made, "i1.p.r2", "yes", text="good q=0.8")
    judged(made, "i1.q.r0", "yes", "q")
    judged(made, "i1.q.r1", "tie", "q")
    judged(made, "i1.elsewhere.r0", "no", "elsewhere", "bad q=0.2")
    return made


def test_one_failing_response_of_each_prompt_is_refined_until_one_passes(tables: Tables) -> None:
    made = run_stage(TREE_SEARCH, tables, {"refiner": PLAY, "judge": PLAY})
    [tree] = made["trees"]
    assert (tree.prompt_id, tree.strategy, tree.model) == ("p", "bfs", "refiner")
    assert tree.root_response_id in ("i1.p.r0", "i1.p.r1")
    assert tree.tree_id == f"{tree.root_response_id}.t"
    assert (tree.solved, tree.chosen_depth, tree.refinements) == (True, 2, 9)
    root, *others = made["nodes"]
    assert (root.depth, root.parent_id, root.reflection) == (0, None, "")
    assert root.critique == f"on {tree.root_response_id}"
    assert (root.verdict, root.value, root.prompt_tokens) == ("no", 0.2, 0)
    assert [node.depth for node in others] == [1] * 3 + [2] * 6
    assert [node.order for node in made["nodes"]] == [*range(10)]
    ids = {node.node_id: node for node in made["nodes"]}
    assert len(ids) == 10
    for node in others:
        assert ids[node.parent_id].depth == node.depth - 1
        assert node.response.startswith("better answer") and "more of it" in node.reflection
        assert (node.verdict, node.value) == (("no", 0.4), ("yes", 0.8))[node.depth - 1]
    assert ids[tree.chosen_node_id].depth == 2
    assert tree.completion_tokens == sum(node.completion_tokens for node in made["nodes"])


def test_the_seed_draws_the_root(tables: Tables) -> None:
    roots = {
        run_stage(TREE_SEARCH, tables, PLAY, seed=seed)["trees"][0].root_response_id
        for seed in range(12)
    }
    assert roots == {"i1.p.r0", "i1.p.r1"}


def shape(made: Made) -> list[int]:
    return [node.depth for node in made["nodes"]]


@pytest.mark.parametrize(
    ("options", "depths"),
    [
        ({"branch": 2, "keep": 1}, [0, 1, 1, 2, 2]),
        ({"depth": 1}, [0, 1, 1, 1]),
        ({"budget": 4}, [0, 1, 1, 1, 2]),
        ({"strategy": "iterative"}, [0, 1, 2]),
        ({"strategy": "dfs", "branch": 1}, [0, 1, 2]),
        ({"strategy": "best_of_n", "budget": 4}, [0, 1, 1, 1, 1]),
        ({"strategy": "greedy", "budget": 4}, [0, 1]),
    ],
    ids=lambda value: "-".join(map(str, value)),
)
def test_the_bounds_of_a_search_are_options(
    tables: Tables, options: dict[str, object], depths: list[int]
) -> None:
    made = run_stage(TREE_SEARCH, tables, PLAY, **options)
    assert shape(made) == depths
    [tree] = made["trees"]
    assert tree.strategy == options.get("strategy", "bfs")
    assert tree.solved is (2 in depths)


def test_a_tree_in_which_nobody_passes_names_its_best(tables: Tables) -> None:
    made = run_stage(TREE_SEARCH, tables, PLAY, depth=1)
    [tree] = made["trees"]
    assert (tree.solved, tree.chosen_depth, tree.chosen_value) == (False, 1, 0.4)


def test_refinements_off_the_format_are_counted(tables: Tables) -> None:
    answers = {"refiner": "I forgot the markers.", "judge": "Final Judgement: Yes"}
    made = run_stage(TREE_SEARCH, tables, answers)
    [tree] = made["trees"]
    assert (tree.solved, tree.refinements, shape(made)) == (False, 0, [0])
    assert (tree.chosen_depth, tree.chosen_node_id) == (0, made["nodes"][0].node_id)
    assert tree.malformed == sum(each.n for each in made.engines["refiner"].requests) == 9
    assert made["failures"] == []


def test_a_conversation_that_outgrows_the_context_ends_its_branch_only(tables: Tables) -> None:
    def refined(request: ChatRequest) -> list[str]:
        if "better answer" in request.messages[0]["content"]:
            raise PromptTooLong("there is no room")
        return PLAY(request)

    made = run_stage(TREE_SEARCH, tables, {"refiner": refined, "judge": PLAY})
    [tree] = made["trees"]
    assert (tree.chosen_depth, tree.solved, tree.refinements) == (1, False, 3)
    assert made["failures"] == []
    tables["responses"][0]["response"] = tables["responses"][1]["response"] = "bad q=0.3"
    made = run_stage(TREE_SEARCH, tables, {"refiner": refined, "judge": PLAY})
    [tree] = made["trees"]
    assert (tree.chosen_depth, tree.solved, tree.refinements) == (1, True, 3)


def test_every_node_is_checked_by_the_program(tables: Tables) -> None:
    tables["prompts"][0]["checks"] = [NO_COMMA]
    for row in tables["judgements"]:
        row["checked"] = False
    refined = "Final Refined Output: [[start]] now, then [[end]]"
    made = run_stage(TREE_SEARCH, tables, {"refiner": refined, "judge": "Final Judgement: Yes"})
    assert [node.checked for node in made["nodes"][:4]] == [False] * 4
    unchecked = run_stage(TREE_SEARCH, tables | {"prompts": prompts()["prompts"]}, PLAY)
    assert {node.checked for node in unchecked["nodes"][1:]} == {None}


def test_a_variant_has_ids_of_its_own(tables: Tables) -> None:
    one = run_stage(TREE_SEARCH, tables, PLAY)
    other = run_stage(TREE_SEARCH, tables, PLAY, variant="deep")
    for name, key in (("trees", "tree_id"), ("nodes", "node_id")):
        ids = {getattr(row, key) for made in (one, other) for row in made[name]}
        assert len(ids) == 2 * len(one[name])
