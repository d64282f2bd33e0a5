"""Prompts with a system message and earlier turns, through the stages of every method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.pairs import Message
from schemas.prompts import Prompt
from spar_core.chat import shown, with_earlier
from spar_core.engine.protocol import ChatRequest
from spar_core.ids import prompt_id
from spar_core.methods import independent, meta_rewarding, self_refine, self_rewarding, spar
from spar_core.stage import Stage
from spar_core.stages.decode import ANSWERERS
from spar_core.stages.teach import TEACHERS
from spar_core.stages.verifiers import VERIFIERS
from spar_core.testing import Made, run_stages
from tests.loopback import as_script
from tests.pipelines import rounds
from tests.spar_core.methods import actor

SYSTEM = Message("system", "Speak in rhyme.")
EARLIER = [SYSTEM, Message("user", "Who are you?"), Message("assistant", "A poet in a tree.")]
LAST = "Name a bird."
CHAT = [*EARLIER, Message("user", LAST)]
SHOWN = shown(with_earlier(LAST, [{"role": m.role, "content": m.content} for m in EARLIER]))
PROMPTS = [Prompt("p", LAST, "f", 0, earlier_turns=EARLIER)]


def play(request: ChatRequest) -> Sequence[str]:
    """An actor that rhymes half of the time, and only where a system message asks for it; a judge
    and a refiner that want a rhyme where they are shown that one is asked for.
    """
    last = request.messages[-1]["content"]
    if "Final Refined Output" in last:
        return [f"Final Refined Output: [[start]] rhyme {i} [[end]]" for i in range(request.n)]
    if "Final Judgement" in last:
        output = last.rpartition("Output: ")[2]
        is_met = "| Speak in rhyme." not in last or "rhyme" in output
        votes = ["Yes" if is_met and i else "No" for i in range(request.n)]
        return [f"So.\nFinal Judgement: {vote if is_met else 'No'}" for vote in votes]
    if "Score:" in last or "Better grader:" in last:
        return actor.says(last, request.n)
    rhymes = request.messages[0]["content"] == SYSTEM.content
    return [
        f"rhyme {i} q=1.0" if rhymes and (i % 2 or request.n == 1) else f"prose {i} q={i % 3 / 5}"
        for i in range(request.n)
    ]


def made_by(stages: Sequence[Stage[Any]], prompts: Sequence[Prompt] = PROMPTS) -> Made:
    return run_stages(stages, {"prompts": prompts}, play)


def test_a_round_hands_on_the_whole_chat() -> None:
    made = made_by(spar.STAGES)
    assert made["failures"] == []
    [pair] = made["pairs"]
    assert pair.prompt == CHAT
    assert pair.chosen[0].content.startswith("rhyme") and "prose" in pair.rejected[0].content
    requests = made.engines["refiner"].requests
    asked = [request.messages for request in requests if len(request.messages) == len(CHAT)]
    assert [dict(turn) for turn in asked[0]] == [
        {"role": turn.role, "content": turn.content} for turn in CHAT
    ]
    others = [request.messages[0]["content"] for request in requests if request.messages[1:] == ()]
    assert len(others) > 5 and all(f'Prompt: "{SHOWN}"' in text for text in others)
    assert made["rft"] and all(SHOWN in row.messages[0].content for row in made["rft"])


def test_without_the_turns_before_it_the_prompt_is_answered_otherwise() -> None:
    plain = made_by(spar.STAGES, [Prompt("p", LAST, "f", 0)])
    assert all("rhyme" not in row.response for row in plain["responses"])
    assert plain["pairs"] == [], "and nobody misses the rhyme"
    for request in plain.engines["refiner"].requests:
        assert request.messages[0]["content"] == LAST or (
            f'Prompt: "{LAST}"' in request.messages[0]["content"]
        )


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(independent.STAGES, id="independent"),
        pytest.param(self_rewarding.STAGES, id="self_rewarding"),
        pytest.param(meta_rewarding.STAGES, id="meta_rewarding"),
    ],
)
def test_pairs_of_other_methods_hold_the_chat(stages: Sequence[Stage[Any]]) -> None:
    made = made_by(stages)
    assert [pair.prompt for pair in made["pairs"]] == [CHAT]
    for request in next(iter(made.engines.values())).requests:
        texts = [turn["content"] for turn in request.messages]
        assert texts[0] == SYSTEM.content or f'Prompt: "{SHOWN}"' in texts[0]
    for pair in made.rows.get("judge_pairs", []):
        assert SHOWN in pair.prompt[0].content


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(self_refine.STAGES, id="self"),
        pytest.param(TEACHERS["engine"], id="bootstrap"),
    ],
)
def test_chats_to_fine_tune_on_hold_it(stages: Sequence[Stage[Any]]) -> None:
    made = made_by(stages)
    assert made["sft_actor"]
    assert all(row.messages[:-1] == CHAT for row in made["sft_actor"])
    for row in made.rows.get("lessons", []):
        assert SHOWN in row.messages[0].content


def test_functions_are_written_for_the_chat() -> None:
    made = run_stages((VERIFIERS,), {"prompts": PROMPTS}, "Nothing to check", functions=1)
    [asked] = made.engines["verifier"].requests
    assert f"Instruction: {SHOWN}\n" in asked.messages[0]["content"]


def test_the_best_answer_is_one_to_the_chat() -> None:
    made = run_stages(ANSWERERS["bfs"], {"prompts": PROMPTS}, play)
    [answer] = made["answers"]
    assert answer.response.startswith("rhyme") and answer.passed
    first = made.engines["actor"].requests[0].messages
    assert [turn["content"] for turn in first] == [turn.content for turn in CHAT]


def digest(made: Made) -> str:
    """A hash of all requests in their order, and of the pairs."""
    requests = [
        [dict(turn) for turn in request.messages] + [request.n, request.seed]
        for engine in dict.fromkeys(made.engines.values())
        for request in engine.requests
    ]
    pairs = [(pair.pair_id, pair.prompt_id, repr(pair.prompt)) for pair in made["pairs"]]
    return hashlib.sha256(json.dumps([requests, pairs]).encode()).hexdigest()[:16]


def test_prompts_that_are_texts_have_the_requests_and_ids_of_early_runs() -> None:
    texts = [{"prompt_id": prompt_id(text), "prompt": text} for text in rounds.PROMPTS]
    whole = run_stages(spar.STAGES, {"prompts": texts}, as_script(rounds.story))
    rated = run_stages(self_rewarding.STAGES, {"prompts": actor.PROMPTS}, actor.play)
    assert (digest(whole), digest(rated)) == ("ceb62a0d6619d6e8", "b0af8ce091205a47")
