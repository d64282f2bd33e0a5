"""Best-of-N: N responses side by side, the best value wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from spar_core.conversation import actor_messages
from spar_core.engine.protocol import ChatRequest, Choice, CutWhileThinking, PromptTooLong
from spar_core.engine.scripted import ScriptedEngine
from tests.spar_core.decoding.scripts import (
    ANSWERING,
    BFS,
    MALFORMED,
    Paced,
    answer,
    asked,
    failing,
    grow,
    is_refine,
    paths,
    responses,
    role_of,
    text_of,
    told,
)

BEST = replace(BFS, strategy="best_of_n", budget=4)
JUDGED = [("judge", 5)]


def test_answers_are_one_request_and_the_best_that_passes_is_the_solution() -> None:
    engine = told(answers="abcd", yes={"a": 2, "b": 3, "c": 5, "d": 5})
    tree = answer(engine, BEST)
    assert asked(engine) == [("actor", 4), *JUDGED * 4]
    assert engine.requests[0].messages == tuple(actor_messages("p"))
    assert engine.requests[0].sampling == ANSWERING
    assert len({request.seed for request in engine.requests}) == 5
    assert tree.solution is tree.nodes[2] is tree.chosen, "of equals the first"
    assert tree.chosen.response == "c"


def test_answers_are_all_nodes_of_depth_0_told_apart_by_number() -> None:
    engine = Paced(told(answers="abcd"))
    tree = answer(engine, BEST)
    assert [(n.response, n.path, n.answer, n.order) for n in tree.nodes] == [
        ("a", (), 0, 0),
        ("b", (), 1, 1),
        ("c", (), 2, 2),
        ("d", (), 3, 3),
    ]
    assert (tree.made, tree.refinements) == (4, 0)
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


def test_best_value_is_chosen_where_no_answer_passes() -> None:
    tree = answer(told(answers="abcd", yes={"b": 1, "c": 2, "d": 2}), BEST)
    assert tree.solution is None and tree.chosen.response == "c"


@pytest.mark.parametrize(("budget", "answers"), [(0, 1), (1, 1), (2, 2), (4, 4)])
def test_budget_is_the_number_of_answers_and_one_at_least(budget: int, answers: int) -> None:
    engine = told(answers="abcd")
    assert len(answer(engine, replace(BEST, budget=budget)).nodes) == answers
    assert asked(engine) == [("actor", answers), *JUDGED * answers]


def test_equal_answers_are_judged_once_where_told() -> None:
    engine = Paced(told(answers="abab", yes={"b": 4}))
    tree = answer(engine, replace(BEST, judge_once=True))
    assert [text_of(r) for r in engine.asked if role_of(r) == "judge"] == ["a", "b"]
    assert tree.solution is tree.nodes[1] and tree.nodes[3].judged.passed
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent


def test_first_answer_that_passes_gives_up_the_others_judgements_where_told() -> None:
    engine = Paced(
        told(answers="abcd", yes={"c": 3}),
        never=lambda r: role_of(r) == "judge" and text_of(r) != "c",
    )
    tree = answer(engine, replace(BEST, stop_level=True))
    assert [n.judged.verdict for n in tree.nodes] == ["unjudged", "unjudged", "yes", "unjudged"]
    assert tree.solution is tree.nodes[2]


def test_answer_too_long_to_judge_is_one_of_the_answers() -> None:
    inner = told(answers="abcd", yes={"b": 2})

    def script(request: ChatRequest) -> Sequence[str]:
        if role_of(request) == "judge" and text_of(request) == "a":
            raise PromptTooLong("long")
        return inner._script(request)

    tree = answer(ScriptedEngine(script), BEST)
    assert tree.nodes[0].judged.verdict == "unjudged" and tree.chosen.response == "b"


@pytest.mark.parametrize(("yes", "solved"), [({"b": 2, "c": 1}, False), ({"b": 3, "c": 5}, True)])
def test_root_gets_n_refinements_by_one_request(yes: dict[str, int], solved: bool) -> None:
    engine = told(refined={"r": "abcd"}, yes=yes)
    tree = grow(engine, BEST)
    assert asked(engine) == [("refiner", 4), *JUDGED * 4]
    assert paths(tree) == [(), (0,), (1,), (2,), (3,)] and responses(tree) == [*"rabcd"]
    assert tree.chosen.response == ("c" if solved else "b")
    assert (tree.solution is tree.chosen) == solved


def test_refinements_that_cannot_be_read_are_asked_for_again() -> None:
    engine = told(refined={"r": ["a", MALFORMED, "b", MALFORMED, "c", MALFORMED, MALFORMED]})
    tree = grow(engine, BEST)
    assert asked(engine) == [("refiner", 4), ("refiner", 2), ("refiner", 1), *JUDGED * 3]
    assert responses(tree) == [*"rabc"] and tree.malformed == 4


def test_root_too_long_to_refine_is_the_items_failure() -> None:
    with pytest.raises(PromptTooLong):
        grow(failing(PromptTooLong("long"), is_refine), BEST)


def test_answers_that_were_cut_while_thinking_are_no_nodes() -> None:
    inner, cut = told(answers="abcd", yes={"c": 5}), Choice("", "length", 9, "hm")

    def script(request: ChatRequest) -> Sequence[str | Choice]:
        said = inner._script(request)
        return [cut, "b", "c", cut] if role_of(request) == "actor" else said

    engine = Paced(ScriptedEngine(script))
    tree = answer(engine, BEST)
    assert [node.response for node in tree.nodes] == ["b", "c"] and tree.chosen.response == "c"
    assert (tree.prompt_tokens, tree.completion_tokens) == engine.spent
    with pytest.raises(CutWhileThinking):
        answer(ScriptedEngine(lambda request: [cut] * request.n), BEST)
