"""Decode: the best answer to a prompt that a decoder finds within its budget."""

from __future__ import annotations

from typing import Any

import pytest

from spar_core.engine.protocol import ChatRequest, Choice
from spar_core.stages.decode import ANSWERERS, DECODER_NAMES
from spar_core.testing import Made, run_stage
from terminal.exits import UsageError
from tests.loopback import as_script
from tests.pipelines import rounds
from tests.spar_core.rows import NO_COMMA, prompts

PROMPTS = [{"prompt_id": f"p{n}", "prompt": text} for n, text in enumerate(rounds.PROMPTS)]
PLAY = as_script(rounds.story)


def answered(decoder: str) -> Made:
    [stage] = ANSWERERS[decoder]
    return run_stage(stage, {"prompts": PROMPTS}, PLAY, responses_per_item=4)


def asked(made: Made) -> set[str]:
    requests = [each for engine in {*made.engines.values()} for each in engine.requests]
    return {rounds.role({"messages": list(each.messages)}) for each in requests}


@pytest.mark.parametrize("decoder", DECODER_NAMES)
def test_each_decoder_answers_each_prompt_once(decoder: str) -> None:
    made = answered(decoder)
    rows = {row.item_id: row for row in made["answers"]}
    assert rows.keys() == {row["prompt_id"] for row in PROMPTS}
    assert len(rows) == len(made["answers"])
    assert {(row.decoder, row.benchmark) for row in rows.values()} == {(decoder, "")}
    if decoder == "greedy":
        assert asked(made) == {"actor"}
        assert {(row.responses, row.budget, row.votes) for row in rows.values()} == {(1, 1, 0)}
        assert {(row.passed, row.value) for row in rows.values()} == {(None, None)}
        return
    refines = set() if decoder == "best_of_n" else {"refine"}
    assert asked(made) == {"actor", "judge"} | refines
    assert all(1 <= row.responses <= 4 for row in rows.values())
    assert {(row.budget, row.votes) for row in rows.values()} == {(4, 5)}
    by_prompt = {row["prompt"]: rows[row["prompt_id"]] for row in PROMPTS}
    assert by_prompt["An easy one."].passed is True
    assert by_prompt["An easy one."].value == 1.0
    assert by_prompt["A hopeless one."].passed is False


def test_the_registered_decoders_are_the_stages_of_answering() -> None:
    given = {"prompts": prompts()["prompts"]}
    for made in (
        run_stage(ANSWERERS["greedy"][0], given, {"actor": PLAY}, iteration=2, variant="v"),
        run_stage(ANSWERERS["best_of_n"][0], given, PLAY, iteration=2, variant="v"),
        run_stage(ANSWERERS["iterative"][0], given, PLAY, iteration=2, variant="v"),
        run_stage(ANSWERERS["bfs"][0], given, PLAY, iteration=2, variant="v"),
        run_stage(ANSWERERS["dfs"][0], given, PLAY, iteration=2, variant="v"),
    ):
        assert {row.item_id for row in made["answers"]} == {"p", "q"}
        assert [row.answer_id for row in made["answers"]] == ["i2.p.v.a", "i2.q.v.a"]


def test_greedy_is_the_answer_at_temperature_0() -> None:
    given = {"prompts": prompts()["prompts"]}
    made = run_stage(ANSWERERS["greedy"][0], given, {"actor": "an answer"}, scope=["p"])
    [request] = made.engines["actor"].requests
    assert (request.n, request.sampling.temperature) == (1, 0)
    [row] = made["answers"]
    assert (row.response, row.model) == ("an answer", "actor")
    assert (row.prompt_tokens, row.completion_tokens) == (len("do p") // 4, len("an answer") // 4)


@pytest.mark.parametrize(
    ("decoder", "temperature"),
    [("greedy", 0), ("best_of_n", 0.9), ("iterative", 0), ("bfs", 0), ("dfs", 0)],
)
def test_what_refines_begins_with_the_answer_of_greedy_decoding(
    decoder: str, temperature: float
) -> None:
    """So that the two compare like with like."""

    def first(**options: Any) -> ChatRequest:
        made = run_stage(ANSWERERS[decoder][0], given, PLAY, scope=["p"], **options)
        requests = [each for engine in {*made.engines.values()} for each in engine.requests]
        return requests[0]

    given = {"prompts": prompts()["prompts"]}
    assert first().sampling.temperature == temperature
    greedy = run_stage(ANSWERERS["greedy"][0], given, {"actor": PLAY}, scope=["p"])
    if temperature == 0:
        assert first() == greedy.engines["actor"].requests[0]
    if decoder != "greedy":
        assert first(actor_temperature=0.4).sampling.temperature == 0.4


@pytest.mark.parametrize("decoder", ["iterative", "bfs", "dfs"])
def test_refinements_that_cannot_be_read_count_as_responses(decoder: str) -> None:
    def play(request: ChatRequest) -> list[str]:
        asked = rounds.role({"messages": request.messages})
        said = {"actor": "an answer", "refine": "no markers", "judge": "Final Judgement: No"}
        return [said[asked]] * request.n

    given = {"prompts": prompts()["prompts"]}
    made = run_stage(ANSWERERS[decoder][0], given, play, scope=["p"], responses_per_item=3)
    [row] = made["answers"]
    assert (row.responses, row.budget) == (3, 3)
    requests = [each for engine in {*made.engines.values()} for each in engine.requests]
    refined = [each.n for each in requests if len(each.messages) == 3]
    assert sum(refined) == 2


def test_a_budget_is_one_at_least() -> None:
    with pytest.raises(UsageError, match="--responses_per_item"):
        run_stage(ANSWERERS["bfs"][0], {}, responses_per_item=0)


@pytest.mark.parametrize(("checks", "chosen"), [("report", "a, b"), ("veto", "a b")])
def test_the_checks_of_a_prompt_have_a_say_in_what_is_chosen(checks: str, chosen: str) -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    given = {"prompts": [{"prompt_id": "p", "prompt": "do p", "checks": [NO_COMMA]}]}
    answers = {"actor": ["a, b", "a b", "c, d"], "refiner": "Final Judgement: Yes"}
    options = {"responses_per_item": 3, "checks": checks}
    [row] = run_stage(ANSWERERS["best_of_n"][0], given, answers, **options)["answers"]
    assert (row.response, row.passed) == (chosen, True)


@pytest.mark.parametrize("decoder", ["best_of_n", "iterative", "bfs", "dfs"])
def test_an_answer_that_was_cut_off_does_not_pass(decoder: str) -> None:
    def answer(request: ChatRequest) -> list[Choice]:
        whole = decoder == "best_of_n" and request.n > 1
        ends = ["length", *["stop"] * whole, *["content_filter"] * (request.n - 1 - whole)]
        return [Choice(f"text {n} {end}", end, 3) for n, end in enumerate(ends)]

    def said(body: dict[str, Any]) -> list[str]:
        if rounds.role(body) == "refine":
            return ["[[start]] mended [[end]]"] * body["n"]
        return ["Final Judgement: Yes"] * body["n"]

    given = {"prompts": prompts()["prompts"]}
    answers = {"actor": answer, "refiner": as_script(said)}
    made = run_stage(ANSWERERS[decoder][0], given, answers, scope=["p"], responses_per_item=3)
    [row] = made["answers"]
    expected = "text 1 stop" if decoder == "best_of_n" else "mended"
    assert (row.response, row.passed) == (expected, True)
