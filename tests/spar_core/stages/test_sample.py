"""Sample: the responses to each prompt."""

from __future__ import annotations

from schemas.failures import Failure
from spar_core.engine.protocol import ChatRequest, Choice, PromptTooLong
from spar_core.stages.sample import SAMPLE
from spar_core.testing import run_stage
from tests.spar_core.rows import prompts


def test_every_prompt_of_the_split_has_its_responses() -> None:
    made = run_stage(SAMPLE, prompts(), {"actor": ["a", "b", "c", "d"]}, responses=2)
    assert [(row.prompt_id, row.response_id, row.response) for row in made["responses"]] == [
        ("p", "i1.p.r0", "a"),
        ("p", "i1.p.r1", "b"),
        ("q", "i1.q.r0", "c"),
        ("q", "i1.q.r1", "d"),
    ]
    assert {(row.model, row.finish_reason) for row in made["responses"]} == {("actor", "stop")}
    held_out = run_stage(SAMPLE, prompts(), "x", responses=1, split="test")
    assert [row.prompt_id for row in held_out["responses"]] == ["elsewhere"]


def test_a_prompt_is_asked_once_as_the_paper_does_it() -> None:
    made = run_stage(SAMPLE, prompts(), "x", scope=["p"])
    [asked] = made.engines["actor"].requests
    assert asked.messages == ({"role": "user", "content": "do p"},)
    assert (asked.n, asked.grammar) == (5, None)
    drawn = asked.sampling
    assert (drawn.temperature, drawn.top_p, drawn.max_tokens) == (0.9, 0.9, 2048)
    for row in made["responses"]:
        said = row.sampling
        assert (said.temperature, said.top_p, said.max_tokens) == (0.9, 0.9, 2048)
        assert said.seed == asked.seed


def test_responses_have_no_white_space_round_them() -> None:
    made = run_stage(SAMPLE, prompts(), [" a\n", "\n\n b c \n"], responses=2, scope=["p"])
    assert [row.response for row in made["responses"]] == ["a", "b c"]


def test_the_tokens_of_a_prompt_stand_on_its_first_response() -> None:
    made = run_stage(SAMPLE, prompts(), "four" * 3, responses=3, scope=["p"])
    assert [row.prompt_tokens for row in made["responses"]] == [len("do p") // 4, 0, 0]
    assert [row.completion_tokens for row in made["responses"]] == [3, 3, 3]


def test_reasoning_is_kept_beside_the_response_it_led_to() -> None:
    thought = Choice("a", "stop", 9, "hm")
    made = run_stage(SAMPLE, prompts(), [thought, "b"], responses=2, scope=["p"])
    assert [(row.response, row.reasoning) for row in made["responses"]] == [
        ("a", "hm"),
        ("b", None),
    ]


def test_one_response_that_was_cut_while_thinking_fails_its_prompt() -> None:
    cut = Choice("", "length", 9, "hm")
    made = run_stage(SAMPLE, prompts(), ["a", cut], responses=2, scope=["p"])
    [failure] = made["failures"]
    assert (failure.error, failure.key) == ("cut_thinking", "p")
    assert "--actor_max_tokens" in failure.message
    assert made["responses"] == []


def test_what_is_drawn_depends_on_seed_iteration_and_prompt() -> None:
    seeds = [
        request.seed
        for how in ({}, {"seed": 1}, {"iteration": 2})
        for request in run_stage(SAMPLE, prompts(), "x", **how).engines["actor"].requests
    ]
    assert len({*seeds}) == len(seeds) == 6


def test_one_that_was_cut_off_is_kept_and_one_too_long_is_a_failure() -> None:
    def play(request: ChatRequest) -> list[Choice]:
        if "do q" in request.messages[0]["content"]:
            raise PromptTooLong("there is no room")
        return [Choice("half a", "length", 2)]

    made = run_stage(SAMPLE, prompts(), play, responses=1)
    assert [(row.response, row.finish_reason) for row in made["responses"]] == [
        ("half a", "length")
    ]
    assert made["failures"] == [Failure("sample", "q", "too_long", "there is no room", 1, "do q")]
