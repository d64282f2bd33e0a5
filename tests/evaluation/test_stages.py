"""The stages of an evaluation on rows in memory: answers, scores and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from evaluation.stages import stages
from schemas.items import Item
from schemas.prompts import Check
from spar_core.decoding.settings import Strategy
from spar_core.engine.protocol import ChatRequest
from spar_core.testing import Made, run_stage, run_stages
from tests.pipelines.rounds import role

COMMA = Check("punctuation:no_comma", "{}")
QUOTED = Check("startend:quotation", "{}")
SAID = {"Say a.": "a", "Say b.": "b, b", "Say c in quotes.": '"c"', "Say d in quotes.": "d"}
ITEMS = [
    Item(f"custom.{n}", "custom", str(n), prompt, n, checks=[COMMA, QUOTED][: 1 + (n > 1)])
    for n, prompt in enumerate(SAID)
]
STRICT = {"average": (0.5 + 0.5 + 4 / 6 + 4 / 6) / 4, "prompt_strict": 0.5}


@pytest.fixture(autouse=True)
def _library() -> None:
    for name in ("lm_eval", "scipy"):
        pytest.importorskip(name, reason="the extra `evaluate` is not installed")


def speak(request: ChatRequest) -> Sequence[str]:
    """An actor that says `SAID`, a judge that lets pass what has no comma and is not d."""
    first = request.messages[0]["content"]
    if role({"messages": request.messages}) == "actor":
        return [SAID[first]] * request.n
    if role({"messages": request.messages}) == "refine":
        return ["Reflection: x\nFinal Refined Output: [[start]] fine [[end]]"] * request.n
    output = first.partition('Output: "')[2]
    vote = "No" if ", " in output.partition("\n\nGo through")[0] else "Yes"
    return [f"x\nFinal Judgement: {vote}"] * request.n


def figures(made: Made, part: str = "") -> dict[str, float]:
    return {row.metric: row.value for row in made["evaluations"] if row.part == part}


def evaluated(decoder: Strategy, **options: Any) -> Made:
    return run_stages(stages(decoder)["answer"], {"items": ITEMS}, speak, **options)


def test_greedy_asks_the_actor_once_an_item_and_a_program_scores() -> None:
    made = evaluated("greedy")
    asked = made.engines["actor"].requests
    assert [each.sampling.temperature for each in asked] == [0] * 4
    assert {
        (row.decoder, row.budget, row.votes, row.responses, row.passed) for row in made["answers"]
    } == {("greedy", 1, 0, 1, None)}
    assert {row.answer_id for row in made["answers"]} == {f"i1.custom.{n}.a" for n in range(4)}
    assert len(made["scores"]) == 12
    assert {row.scorer for row in made["scores"]} == {"program"}
    found = figures(made)
    assert {name: found[name] for name in STRICT} == pytest.approx(STRICT)
    assert figures(made, "startend:quotation")["instruction_strict"] == 0.5
    for row in made["evaluations"]:
        assert (row.model, row.decoder, row.scorer) == ("scripted", "greedy", "program")
    whole = [row for row in made["evaluations"] if row.part == ""]
    assert {(row.scored, row.items) for row in whole} == {(4, 4)}


@pytest.mark.parametrize(
    ("decoder", "responses", "passed", "strict"),
    [("best_of_n", 12, [True, False, True, True], 0.5), ("iterative", 5, [True] * 4, 0.75)],
)
def test_a_decoder_answers_within_its_budget(
    decoder: Strategy, responses: int, passed: list[bool], strict: float
) -> None:
    made = evaluated(decoder, responses_per_item=3, votes=1)
    rows = sorted(made["answers"], key=lambda row: row.item_id)
    assert sum(row.responses for row in rows) == responses
    assert [row.passed for row in rows] == passed
    assert {(row.decoder, row.budget, row.votes) for row in rows} == {(decoder, 3, 1)}
    assert figures(made)["prompt_strict"] == strict
    assert {row.responses for row in made["evaluations"]} == {responses / 4}


def test_each_stage_does_what_it_is_asked_of() -> None:
    decode, check, grade, count = stages("greedy")["answer"]
    answers = run_stage(decode, {"items": ITEMS}, speak, scope=["custom.1"])["answers"]
    assert [row.item_id for row in answers] == ["custom.1"]
    tables: dict[str, Any] = {"items": ITEMS, "answers": answers}
    scores = run_stage(check, tables)["scores"]
    assert {row.item_id: row.answer_id for row in scores} == {"custom.1": answers[0].answer_id}
    assert {row.value for row in scores} == {0.0}, "it has a comma"
    assert run_stage(grade, tables).items["grade"] == [], "a program scores them"
    [strict] = [
        row
        for row in run_stage(count, tables | {"scores": scores})["evaluations"]
        if (row.metric, row.part) == ("prompt_strict", "")
    ]
    assert (strict.value, strict.scored, strict.items) == (0.0, 1, 4)


def test_a_chat_is_answered_as_the_benchmark_writes_it() -> None:
    chat = {"messages": [{"role": "user", "content": "1 + 1?"}], "max_tokens": 9, "stop": ["\n"]}
    item = Item("g.0", "gsm8k", "0", "1 + 1?", 0, label="2", details=json.dumps({"chat": chat}))
    made = run_stage(stages("bfs")["chat"][0], {"items": [item]}, {"actor": "2"})
    [asked] = made.engines["actor"].requests
    assert asked.messages == tuple(chat["messages"])
    assert (asked.n, asked.stop, asked.sampling.max_tokens) == (1, ("\n",), 9)
    [row] = made["answers"]
    assert (row.response, row.decoder, row.model) == ("2", "greedy", "actor")


def test_llmbar_is_judged_as_it_is() -> None:
    items = [
        Item(f"l.{n}", "llmbar", f"Natural/0/{n}", "Say b.", n, "Natural", given=text, label=label)
        for n, (text, label) in enumerate((("b, b", "No"), ("b", "Yes")))
    ]
    made = run_stages(stages("greedy")[None], {"items": items}, {"judge": speak}, votes=1)
    assert made["answers"] == []
    assert len(made.engines["judge"].requests) == 2
    assert {row.scorer for row in made["scores"]} == {"judge"}
    assert figures(made)["accuracy"] == 1.0


def failing(name: str, text: str, **more: Any) -> Item:
    details = json.dumps({"prompt_id": f"p.{name}"})
    return Item(name, "refinement", name, "Say it.", 0, given=text, details=details, **more)


def test_failing_answers_are_refined_anew_and_judged_by_three() -> None:
    items = [failing("r1", "bad", checks=[COMMA]), failing("r2", "worse, still")]
    answers = {"refiner": speak, "judge": "Final Judgement: No"}
    made = run_stages(
        stages("iterative")["refinement"], {"items": items}, answers, responses_per_item=2
    )
    assert {row.item_id: (row.response, row.passed, row.model) for row in made["answers"]} == {
        "r1": ("fine", True, "refiner"),
        "r2": ("fine", True, "refiner"),
    }
    first = [each.messages[0]["content"] for each in made.engines["refiner"].requests]
    assert any('Output: "bad"' in said for said in first), "what is given is judged and refined"
    found = {(row.metric, row.part): (row.value, row.scored) for row in made["evaluations"]}
    assert found == {
        ("program", ""): (1.0, 1),
        ("program", "punctuation:no_comma"): (1.0, 1),
        ("judge", ""): (0.0, 2),
        ("self", ""): (1.0, 2),
    }


def test_each_stage_of_refining_does_its_own() -> None:
    decode, check, grade, count = stages("greedy")["refinement"]
    items = [failing("r1", "bad", checks=[COMMA])]
    answers = run_stage(decode, {"items": items}, {"refiner": speak}, variant="v")["answers"]
    assert [row.answer_id for row in answers] == ["i1.r1.v.a"]
    tables: dict[str, Any] = {"items": items, "answers": answers}
    checked = run_stage(check, tables)["scores"]
    graded = run_stage(grade, tables, {"judge": "Final Judgement: Yes"}, votes=1)["scores"]
    assert {row.scorer for row in checked} == {"program"}
    assert [(row.metric, row.value, row.scorer) for row in graded] == [("judge", 1.0, "judge")]
    made = run_stage(count, tables | {"scores": [*checked, *graded]})
    assert {row.scorer for row in made["evaluations"]} == {"judge, program"}
