"""SELF: which answers are refined, and what is learnt of them."""

from __future__ import annotations

import pytest

from schemas.pairs import Message
from spar_core.engine.protocol import ChatRequest
from spar_core.methods.self_refine import SELF, STAGES
from spar_core.testing import Made, run_stage, run_stages
from tests.loopback import as_script
from tests.pipelines import rounds
from tests.spar_core.decoding.scripts import MALFORMED, asked, told
from tests.spar_core.rows import LOWERCASE, Tables, judged, prompts


@pytest.fixture
def tables() -> Tables:
    return prompts()


def run(tables: Tables, refined: list[str], yes: int = 0, **options: object) -> Made:
    """Refine `bad`, and vote Yes so many times of five on the first refinement."""
    script = told(refined={"bad": refined}, yes={refined[0]: yes})._script
    return run_stage(SELF, tables, script, **options)


def test_an_answer_that_fails_is_refined_once_and_learnt_if_it_then_passes(
    tables: Tables,
) -> None:
    judged(tables, "i1.p.r2", "no", text="bad")
    tables["judgements"][0]["checked"] = None
    made = run(tables, ["good"], 4)
    [row] = made["sft_actor"]
    engine = made.engines["refiner"]
    assert asked(engine) == [("refiner", 1), ("judge", 5)]
    assert engine.requests[0].messages[1]["content"] == "on i1.p.r2", "its own feedback"
    assert (row.sft_id, row.method, row.source) == ("i1.p.r2.self", "self", "repair")
    assert row.messages == [Message("user", "do p"), Message("assistant", "good")]
    assert (row.prompt_id, row.response_id, row.value) == ("p", "i1.p.r2", 0.8)
    assert (row.teacher, row.checked) == ("scripted", None)
    assert made["drops"] == []


def test_an_answer_that_passed_is_learnt_as_it_is_and_nothing_is_asked(tables: Tables) -> None:
    judged(tables, "i1.p.r2", "yes", text="fine")
    made = run_stage(SELF, tables)
    [row] = made["sft_actor"]
    assert (row.source, row.messages[1].content, row.value) == ("response", "fine", 0.8)
    assert (row.checked, row.teacher) == (True, "scripted")
    assert made.engines["refiner"].requests == []


def test_an_answer_has_what_was_thought_before_it_and_a_mended_one_has_nothing(
    tables: Tables,
) -> None:
    judged(tables, "fine", "yes", text="fine")
    judged(tables, "failing", "no", "q", "bad")
    for row in tables["responses"]:
        row["reasoning"] = f"before {row['response_id']}"
    rows = run(tables, ["good"], 4)["sft_actor"]
    assert {row.source: row.reasoning for row in rows} == {
        "response": "before fine",
        "repair": None,
    }


@pytest.mark.parametrize(
    ("refined", "yes", "cause"),
    [
        (["worse"], 2, "does_not_pass"),
        ([MALFORMED] * 3, 0, "off_format"),
        (["bad"], 5, "unchanged"),
    ],
)
def test_what_is_not_learnt_says_why(
    tables: Tables, refined: list[str], yes: int, cause: str
) -> None:
    judged(tables, "i1.p.r2", "no", text="bad")
    made = run(tables, refined, yes)
    [drop] = made["drops"]
    assert made["sft_actor"] == []
    assert (drop.stage, drop.key, drop.what, drop.cause) == (
        *("self", "i1.p.r2", "refinement", cause),
    )


def test_a_program_has_its_say_of_what_was_mended(tables: Tables) -> None:
    tables["prompts"][0]["checks"] = [LOWERCASE]
    judged(tables, "i1.p.r2", "no", text="bad")
    made = run(tables, ["Good"], 5)
    assert made["sft_actor"] == [] and made["drops"][0].cause == "does_not_pass"
    [row] = run(tables, ["Good"], 5, checks="report")["sft_actor"]
    assert row.checked is False


def test_of_a_prompt_one_that_passed_and_one_that_failed_are_drawn(tables: Tables) -> None:
    for number in range(4):
        judged(tables, f"yes{number}", "yes", text=f"fine {number}")
        judged(tables, f"no{number}", "no", text="bad")
    judged(tables, "tie", "tie", "q")
    judged(tables, "other", "yes", "elsewhere")
    found = [run(tables, ["good"], 5, seed=seed) for seed in range(20)]
    for made in found:
        assert [item["key"] for item in made.items["self"]] == ["p.no", "p.yes"]
        assert sorted(row.source for row in made["sft_actor"]) == ["repair", "response"]
    drawn = {row.response_id for made in found for row in made["sft_actor"]}
    assert len(drawn) > 4, "the seed draws"


def test_a_whole_round_learns_what_passes_once_it_is_refined() -> None:
    prompts = [{"prompt_id": f"p{n}", "prompt": text} for n, text in enumerate(rounds.PROMPTS)]
    before: list[str] = []

    def play(request: ChatRequest) -> list[str]:
        before.append(rounds.role({"messages": list(request.messages)}))
        return as_script(rounds.story)(request)

    made = run_stages(STAGES, {"prompts": prompts}, play)
    verdicts = {row.response_id: row.verdict for row in made["judgements"]}
    texts = {row.response_id: row.response for row in made["responses"]}
    failing = {row.prompt_id for row in made["judgements"] if row.verdict == "no"}
    passing = {row.prompt_id for row in made["judgements"] if row.verdict == "yes"}
    assert before.count("refine") == len(failing) > 0
    for row in made["sft_actor"]:
        answer = row.messages[1].content
        assert (row.method, row.value > 0.5) == ("self", True)
        if row.source == "response":
            assert (verdicts[row.response_id], answer) == ("yes", texts[row.response_id])
        else:
            assert verdicts[row.response_id] == "no" and answer != texts[row.response_id]
    kept = [row.source for row in made["sft_actor"]]
    assert kept.count("response") == len(passing)
    assert kept.count("repair") + len(made["drops"]) == len(failing)
