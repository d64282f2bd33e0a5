"""SPaR: a whole round in memory, and how its tables hang together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from spar_core.conversation import read_refinement, read_vote
from spar_core.engine.protocol import ChatRequest, Choice
from spar_core.methods.spar import STAGES
from spar_core.testing import Answers, Made, run_stages
from tests.loopback import as_script
from tests.pipelines import rounds

PROMPTS = [{"prompt_id": f"p{n}", "prompt": text} for n, text in enumerate(rounds.PROMPTS)]
STORY = as_script(rounds.story)


def role(request: ChatRequest) -> str:
    """Who is asked: `actor`, `judge` or `refine`."""
    return rounds.role({"messages": list(request.messages)})


def garbled(request: ChatRequest) -> list[str]:
    """`rounds.story`, but a fifth of all votes and refinements says nothing that can be read."""
    texts = STORY(request)
    if role(request) == "actor":
        return texts
    drawn = (f"{text} {request.seed} {number}" for number, text in enumerate(texts))
    is_readable = [hashlib.sha256(each.encode()).digest()[0] >= 51 for each in drawn]
    return [text if kept else "???" for text, kept in zip(texts, is_readable, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A round: its script, its options, and the bounds that these set."""

    script: Answers = STORY
    options: dict[str, int | str] = field(default_factory=dict)
    responses: int = 5
    branch: int = 3
    depth: int = 3
    budget: int = 15


CASES = {
    "defaults": Case(),
    "dfs": Case(options={"strategy": "dfs"}),
    "own bounds": Case(
        options={"branch": 2, "keep": 1, "depth": 2, "budget": 3, "responses": 2, "votes": 3},
        responses=2,
        branch=2,
        depth=2,
        budget=3,
    ),
    "garbled": Case(script=garbled),
}


@cache
def made_by(name: str) -> Made:
    """A whole round of a case; for reading only."""
    case = CASES[name]
    return run_stages(STAGES, {"prompts": PROMPTS}, case.script, **case.options)


@dataclass(frozen=True)
class Round:
    """What a case made."""

    case: Case
    made: Made


@pytest.fixture(params=CASES)
def each(request: pytest.FixtureRequest) -> Round:
    """A whole round of each case; for reading only."""
    return Round(CASES[request.param], made_by(request.param))


@pytest.fixture
def whole() -> Made:
    """A whole round with the default options; for reading only."""
    return made_by("defaults")


def test_nothing_fails_and_no_id_is_given_twice(each: Round) -> None:
    assert each.made["failures"] == []
    for table, column in rounds.IDS.items():
        if table != "prompts":
            ids = [getattr(row, column) for row in each.made[table]]
            assert len(ids) == len({*ids}) > 0, table


def test_every_response_is_judged_once(each: Round) -> None:
    made, case = each.made, each.case
    responses = [row.response_id for row in made["responses"]]
    assert Counter(row.prompt_id for row in made["responses"]) == {
        str(prompt["prompt_id"]): case.responses for prompt in PROMPTS
    }
    assert sorted(row.response_id for row in made["judgements"]) == sorted(responses)


def test_every_prompt_that_was_answered_badly_has_one_tree(each: Round) -> None:
    made, case = each.made, each.case
    failing = {row.response_id for row in made["judgements"] if row.verdict == "no"}
    of_prompt = {row.response_id: row.prompt_id for row in made["judgements"]}
    assert Counter(row.prompt_id for row in made["trees"]) == dict.fromkeys(
        {of_prompt[name] for name in failing}, 1
    )
    assert {row.root_response_id for row in made["trees"]} <= failing
    for tree in made["trees"]:
        nodes = [row for row in made["nodes"] if row.tree_id == tree.tree_id]
        assert len(nodes) == tree.refinements + 1 <= case.budget + 1
        assert max(row.depth for row in nodes) <= case.depth
        by_name = {row.node_id: row for row in nodes}
        for row in nodes[1:]:
            parent = by_name[row.parent_id]
            assert (parent.depth, parent.order < row.order) == (row.depth - 1, True)
        assert max(Counter(row.parent_id for row in nodes[1:]).values(), default=0) <= case.branch
    assert max(tree.refinements for tree in made["trees"]) == case.budget, "hopeless ones use it up"


def test_every_solved_tree_is_a_pair_of_its_chosen_node_and_its_root(each: Round) -> None:
    made = each.made
    solved = {row.tree_id: row for row in made["trees"] if row.solved}
    nodes = {row.node_id: row for row in made["nodes"]}
    texts = {row.response_id: row.response for row in made["responses"]}
    assert {pair.tree_id for pair in made["pairs"]} == solved.keys() != set()
    assert len(solved) < len(made["trees"]), "hopeless ones are not"
    for pair in made["pairs"]:
        tree, chosen = solved[pair.tree_id], nodes[pair.chosen_node_id]
        assert pair.chosen_node_id == tree.chosen_node_id
        assert pair.rejected_response_id == tree.root_response_id
        assert (pair.chosen_value, chosen.value > 0.5) == (chosen.value, True)
        assert pair.chosen[0].content == chosen.response
        assert pair.rejected[0].content == texts[tree.root_response_id]


def test_votes_that_say_nothing_are_stored_and_not_counted(each: Round) -> None:
    votes = int(each.case.options.get("votes", 5))
    for table in ("judgements", "nodes"):
        rows = each.made[table]
        assert (sum(row.unparsed_votes for row in rows) > 0) == (each.case.script is garbled)
        for row in rows:
            read = row.yes_votes + row.no_votes
            assert read + row.unparsed_votes == votes + row.asked_again == len(row.votes)
            assert row.unparsed_votes == sum(vote.vote is None for vote in row.votes)
            assert row.value == (row.yes_votes / read if read else None)
    malformed = sum(tree.malformed for tree in each.made["trees"])
    assert (malformed > 0) == (each.case.script is garbled)


def test_dfs_follows_the_best_child_before_its_siblings() -> None:
    made = made_by("dfs")
    assert {tree.strategy for tree in made["trees"]} == {"dfs"}
    assert len(made["trees"]) == 10
    hopeless = {f"p{n}" for n, text in enumerate(rounds.PROMPTS) if "hopeless" in text}
    trees = {tree.tree_id for tree in made["trees"] if tree.prompt_id in hopeless}
    assert len(trees) == 2
    for name in trees:
        parents = [row.parent_id for row in made["nodes"] if row.tree_id == name and row.depth]
        # 3 children, those of the first, those of its two best, then those of the second.
        suffixes = [parent.partition(".t.")[2] for parent in parents[::3]]
        assert suffixes == ["root", "0", "0.0", "0.1", "1"]


def test_a_seed_decides_all(whole: Made) -> None:
    other = run_stages(STAGES, {"prompts": PROMPTS}, STORY, seed=1)
    requests = [engine.requests for engine in whole.engines.values()]
    seeds = [request.seed for request in requests[0]]
    assert all(each is requests[0] for each in requests), "one engine plays all roles"
    assert len({*seeds}) == len(seeds)
    assert not {*seeds} & {request.seed for request in next(iter(other.engines.values())).requests}
    roots = [sorted(tree.root_response_id for tree in made["trees"]) for made in (whole, other)]
    assert roots[0] != roots[1]


def test_ties_and_unread_votes_grow_no_tree() -> None:
    votes = {"tie": "YNYN?", "unread": "?????", "few": "NN???", "no": "NNNY?", "yes": "YYY??"}
    said = {"Y": "Final Judgement: Yes", "N": "Final Judgement: No", "?": "Who knows."}

    def answer(request: ChatRequest) -> list[str]:
        text = request.messages[0]["content"]
        if role(request) == "actor":
            return [text] * request.n
        if role(request) == "refine":
            return ["[[start]] yes [[end]]"] * request.n
        output = text.rpartition('Output: "')[2].partition('"')[0]
        return [said[vote] for vote in votes[output]][: request.n]

    asked = [{"prompt_id": name, "prompt": name} for name in votes]
    made = run_stages(STAGES, {"prompts": asked}, answer, ask_again=0)
    columns = ("prompt_id", "verdict", "value", "yes_votes", "no_votes", "unparsed_votes")
    held = {tuple(getattr(row, name) for name in columns) for row in made["judgements"]}
    assert held == {
        ("few", "no_quorum", 0.0, 0, 2, 3),
        ("no", "no", 0.25, 1, 3, 1),
        ("tie", "tie", 0.5, 2, 2, 1),
        ("unread", "no_quorum", None, 0, 0, 5),
        ("yes", "yes", 1.0, 3, 0, 2),
    }
    trees = [(tree.prompt_id, tree.solved, tree.refinements) for tree in made["trees"]]
    assert trees == [("no", True, 3)]


def test_a_response_that_was_cut_off_is_no_root() -> None:
    def answer(request: ChatRequest) -> Sequence[str | Choice]:
        text = request.messages[0]["content"]
        if role(request) == "refine":
            return ["[[start]] mended [[end]]"] * request.n
        if role(request) == "judge":
            return [f"Final Judgement: {'Yes' if 'mended' in text else 'No'}"] * request.n
        cut = [Choice(f"cut {number}", "length", 2) for number in range(request.n)]
        return [*cut[:3], Choice("whole", "stop", 2), *cut[4:]] if "some" in text else cut

    texts = [*(f"some whole {number}" for number in range(6)), "all cut"]
    asked = [{"prompt_id": text, "prompt": text} for text in texts]
    made = run_stages(STAGES, {"prompts": asked}, answer, depth=1)
    held = sorted((pair.prompt_id, pair.rejected[0].content) for pair in made["pairs"])
    assert held == [(text, "whole") for text in texts[:6]]
    assert made["failures"] == []


def test_rft_samples_are_chats_of_judge_and_refiner(whole: Made) -> None:
    kinds = Counter((row.task, row.source) for row in whole["rft"])
    assert kinds.keys() == {
        ("refine", "tree_refinement"),
        ("judge", "tree_judgement"),
        ("judge", "response_judgement"),
    }
    assert len({row.rft_id for row in whole["rft"]}) == len(whole["rft"])
    for row in whole["rft"]:
        last = row.messages[-1].content
        if row.task == "judge":
            assert read_vote(last) == row.label
        else:
            assert read_refinement(last) is not None
