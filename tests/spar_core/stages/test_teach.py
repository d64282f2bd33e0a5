"""Teach: what a teacher, a program or a model, makes of an actor's answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.prompts import Check, Prompt
from spar_core.checks.strict import follows
from spar_core.conversation import read_refinement, read_vote
from spar_core.engine.protocol import ChatRequest, RequestRefused
from spar_core.ids import prompt_id
from spar_core.stages.teach import ANSWER, TEACH_BY_ENGINE, TEACH_BY_RULES, TEACHERS
from spar_core.testing import Answers, Made, run_stage, run_stages
from terminal.exits import UsageError
from tests.loopback import as_script
from tests.pipelines.lessons import (
    ALL_WRONG,
    COMMA,
    GOOD,
    PROMPTS,
    QUOTED_GOOD,
    TOPICS,
    act,
    teach,
)
from tests.pipelines.rounds import PROMPTS as UNCHECKED
from tests.pipelines.rounds import role
from tests.spar_core.rows import Tables, add, prompts, respond

PLAY = as_script(teach)
CAPITAL, NO_COMMA, QUOTED = (
    {"id": name, "kwargs": "{}"}
    for name in ("change_case:english_capital", "punctuation:no_comma", "startend:quotation")
)
FIRST, SECOND, THIRD, PLAIN, ENGLISH = PROMPTS


@pytest.fixture(autouse=True)
def _library() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")


def checked_prompts() -> list[Prompt]:
    return [
        Prompt(
            prompt_id(text),
            text,
            "a file",
            place,
            [Check(each["id"], json.dumps(each.get("kwargs", {}))) for each in checks or ()]
            or None,
        )
        for place, (text, (checks, _)) in enumerate(PROMPTS.items())
    ]


def topics(*texts: str, split: str = "train") -> list[Prompt]:
    return [Prompt(prompt_id(text), text, "f", n, split=split) for n, text in enumerate(texts)]


def taught_by_rules(**options: Any) -> Made:
    tables = {"prompts": checked_prompts()}
    return run_stages(TEACHERS["rules"], tables, as_script(act), responses=3, **options)


def taught_by_engine(asked: Sequence[Prompt], answers: Answers = PLAY, **options: Any) -> Made:
    by_role = {"actor": answers, "teacher": answers}
    return run_stages(TEACHERS["engine"], {"prompts": asked}, by_role, responses=3, **options)


@pytest.fixture(scope="module")
def rules() -> Made:
    """What rules teach on `PROMPTS`; for reading only."""
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    return taught_by_rules()


@pytest.fixture(scope="module")
def engine() -> Made:
    """What an engine teaches on `TOPICS`; for reading only."""
    return taught_by_engine(topics(*TOPICS))


def consistent(made: Made, asked: Sequence[Prompt]) -> None:
    """What must hold of whatever a teacher makes."""
    prompts = {prompt.prompt_id: prompt for prompt in asked}
    responses = {row.response_id: row for row in made["responses"]}
    for table in ("lessons", "sft_actor", "sft_refiner"):
        assert len({row.sft_id for row in made[table]}) == len(made[table])
        assert {row.prompt_id for row in made[table]} <= {*prompts}
    lessons = {row.sft_id: row for row in made["lessons"]}
    assert all(lessons[row.sft_id] == row for row in made["sft_refiner"])
    chats = [(row.task, str(row.messages[:-1])) for row in made["sft_refiner"]]
    assert len({*chats}) == len(chats), "each chat is learnt once"
    labels = Counter(row.label for row in made["sft_refiner"] if row.task == "judge")
    assert labels["Yes"] == labels["No"]
    for row in lessons.values():
        prompt, response = prompts[row.prompt_id], responses[row.response_id]
        turns = ["user", "assistant"] * (2 if row.task == "refine" else 1)
        assert [turn.role for turn in row.messages] == turns
        assert prompt.prompt in row.messages[0].content
        if row.source == "response":
            assert f'"{response.response}"' in row.messages[0].content
        vote = read_vote(row.messages[1].content)
        if row.task == "judge":
            assert vote == row.label
            continue
        refined = read_refinement(row.messages[-1].content)
        assert (vote, row.label) == ("No", None)
        assert refined is not None
        assert row.checked is follows(plain(prompt), refined.response)
    for row in made["sft_actor"]:
        prompt, [question, answer] = prompts[row.prompt_id], row.messages
        assert (question.role, question.content) == ("user", prompt.prompt)
        assert answer.role == "assistant"
        assert follows(plain(prompt), answer.content) is not False


def plain(prompt: Prompt) -> list[dict[str, str]] | None:
    return prompt.checks and [{"id": each.id, "kwargs": each.kwargs} for each in prompt.checks]


def test_rules_teach_on_prompts_with_checks(rules: Made) -> None:
    consistent(rules, checked_prompts())
    assert len(rules["responses"]) == 3 * len(PROMPTS)
    said = {prompt.prompt_id: prompt.prompt for prompt in checked_prompts()}
    answers = sorted(
        (
            [*PROMPTS].index(said[row.prompt_id]),
            *(row.response_id[-2:], row.source, row.messages[1].content),
        )
        for row in rules["sft_actor"]
    )
    assert answers == [
        (0, "r0", "response", GOOD),
        (0, "r1", "repair", GOOD),
        (0, "r2", "response", GOOD),
        (1, "r0", "response", QUOTED_GOOD),
        (1, "r1", "repair", QUOTED_GOOD),
        (1, "r2", "repair", QUOTED_GOOD),
        (2, "r1", "response", "- a\n- b\n- c"),
    ]
    assert {(row.checked, row.teacher) for row in rules["sft_actor"]} == {(True, "rules")}


def test_each_answer_teaches_what_is_true_of_it(rules: Made) -> None:
    said = {prompt.prompt_id: prompt.prompt for prompt in checked_prompts()}
    texts = {row.response_id: row.response for row in rules["responses"]}
    told: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for row in sorted(rules["lessons"], key=lambda row: row.sft_id):
        place = said[row.prompt_id], texts[row.response_id]
        told.setdefault(place, []).append((row.task, row.source, row.label or ""))
    yes, no = ("judge", "response", "Yes"), ("judge", "response", "No")
    mended = [("judge", "refinement", "Yes"), ("refine", "response", "")]
    near = [("judge", "near_miss", "No"), ("refine", "near_miss", "")]
    assert told[FIRST, GOOD] == [yes, yes], "two answers are the same"
    assert sorted(told[FIRST, COMMA]) == sorted([no, *mended])
    assert sorted(told[SECOND, ALL_WRONG]) == sorted([no, *mended, *near])
    assert told[THIRD, "- a\n- b\n- c"] == [yes]
    assert told[THIRD, "Why?"] == [no]
    assert {prompt for prompt, _ in told} == {FIRST, SECOND, THIRD}


def drops(made: Made, asked: Sequence[Prompt]) -> Counter[tuple[str, ...]]:
    said = {prompt.prompt_id: prompt.prompt for prompt in asked}
    return Counter(
        (row.stage, row.what, row.cause, row.message, said[row.prompt_id]) for row in made["drops"]
    )


def test_what_teaches_nothing_is_told_by_cause(rules: Made) -> None:
    assert drops(rules, checked_prompts()) == {
        ("teach", "judgement", "no_checks", "", PLAIN): 3,
        ("teach", "judgement", "unknown_check", "language:response_language", ENGLISH): 3,
        ("teach", "refinement", "no_repair", "", THIRD): 2,
    }


def test_as_many_say_yes_as_no_and_no_chat_is_learnt_twice(rules: Made) -> None:
    chats: dict[str, set[str]] = {"Yes": set(), "No": set()}
    for row in rules["lessons"]:
        if row.task == "judge":
            chats[row.label].add(row.messages[0].content)
    kept = Counter(row.label for row in rules["sft_refiner"] if row.task == "judge")
    fewest = min(len(different) for different in chats.values())
    assert kept["Yes"] == kept["No"] == fewest
    refined = {str(row.messages[:-1]) for row in rules["lessons"] if row.task == "refine"}
    assert sum(row.task == "refine" for row in rules["sft_refiner"]) == len(refined)


def taught_lesson(tables: Tables, name: str, prompt: str, label: str) -> None:
    add(
        tables,
        "lessons",
        sft_id=name,
        messages=[{"role": "user", "content": name}, {"role": "assistant", "content": label}],
        task="judge",
        label=label,
        source="response",
        teacher="rules",
        prompt_id=prompt,
        response_id=name,
    )


def test_labels_are_balanced_by_kind_of_constraint() -> None:
    """Else one kind may only teach No, and another only Yes."""
    kinds = {
        "only_no": [CAPITAL],
        "only_yes": [NO_COMMA],
        "both": [QUOTED],
        "also_both": [QUOTED, QUOTED],
        "two": [CAPITAL, QUOTED],
        "none": [],
    }
    tables: Tables = {
        "prompts": [
            {"prompt_id": name, "prompt": name, "checks": checks or None}
            for name, checks in kinds.items()
        ]
    }
    said = {
        "only_no": "NNN", "only_yes": "YYY", "both": "NNNY", "also_both": "Y", "two": "NNYYY",
        "none": "NYY",
    }  # fmt: skip
    for prompt, labels in said.items():
        for number, letter in enumerate(labels):
            label = "Yes" if letter == "Y" else "No"
            taught_lesson(tables, f"{prompt}{number}", prompt, label)
    balance = TEACHERS["rules"][-1]
    for seed in range(3):
        rows = run_stage(balance, tables, seed=seed)["sft_refiner"]
        assert Counter((row.prompt_id, row.label) for row in rows if row.prompt_id == "two") == {
            ("two", "Yes"): 2,
            ("two", "No"): 2,
        }
        alike = Counter(row.label for row in rows if row.prompt_id in ("both", "also_both"))
        assert alike == {"Yes": 2, "No": 2}
        assert Counter(row.label for row in rows if row.prompt_id == "none") == {"Yes": 1, "No": 1}
        assert not [row for row in rows if row.prompt_id.startswith("only")]


def test_capitals_are_taught_by_both_verdicts() -> None:
    prompt = "Describe a clock in capitals."
    asked = [Prompt("p", prompt, "a file", 0, [Check(CAPITAL["id"], "{}")])]
    texts = [GOOD, COMMA, f"{GOOD}."]
    made = run_stages(TEACHERS["rules"], {"prompts": asked}, texts, responses=3)
    labels = Counter(row.label for row in made["sft_refiner"])
    assert labels == {"Yes": 3, "No": 3, None: 3}


def test_what_is_drawn_for_the_balance_depends_on_the_seed(rules: Made) -> None:
    tables = rules.rows | {"prompts": checked_prompts()}
    kept = [
        [row.sft_id for row in run_stage(TEACHERS["rules"][-1], tables, seed=seed)["sft_refiner"]]
        for seed in (0, 0, 1, 2)
    ]
    assert kept[0] == kept[1] == sorted(row.sft_id for row in rules["sft_refiner"])
    assert len({*map(str, kept)}) > 1
    for seed in (1, 2):
        consistent(taught_by_rules(seed=seed), checked_prompts())


@pytest.mark.parametrize(("closest", "refines"), [(0.5, True), (1, False)])
def test_how_close_a_refinement_must_be_is_told(closest: float, refines: bool) -> None:
    made = taught_by_rules(closest=closest)
    assert ("refine" in {row.task for row in made["sft_refiner"]}) is refines
    with pytest.raises(UsageError, match="--closest"):
        run_stage(TEACH_BY_RULES, {}, closest=2)


def test_nothing_to_teach_on_is_a_result() -> None:
    made = run_stages(
        TEACHERS["rules"], {"prompts": topics(*UNCHECKED[:3])}, "an answer", responses=2
    )
    assert made["sft_refiner"] == made["sft_actor"] == made["lessons"] == []
    assert {(row.what, row.cause) for row in made["drops"]} == {("judgement", "no_checks")}


def test_a_variant_has_ids_of_its_own(rules: Made) -> None:
    tables = rules.rows | {"prompts": checked_prompts()}
    other = run_stage(TEACH_BY_RULES, tables, variant="far")
    for table in ("lessons", "sft_actor"):
        mine, own = ({row.sft_id for row in made[table]} for made in (other, rules))
        assert mine and not mine & own


def test_an_engine_teaches_what_it_is_sure_of(engine: Made) -> None:
    asked = topics(*TOPICS)
    consistent(engine, asked)
    good, bad, unsure, mute, worse = TOPICS
    said = {prompt.prompt_id: prompt.prompt for prompt in asked}
    answers = [(said[row.prompt_id], row.source, row.value) for row in engine["sft_actor"]]
    assert sorted(answers) == [(good, "answer", 1.0), (unsure, "answer", 0.6)]
    told = Counter(
        (said[row.prompt_id], row.task, row.source, row.label, row.value)
        for row in engine["lessons"]
    )
    assert told == {
        (good, "judge", "response", "Yes", 1.0): 3,
        (bad, "judge", "refinement", "Yes", 1.0): 9,
        (bad, "judge", "response", "No", 0.0): 3,
        (bad, "refine", "response", None, 1.0): 3,
        (worse, "judge", "refinement", "No", 0.2): 9,
        (worse, "judge", "response", "No", 0.2): 3,
    }
    assert drops(engine, asked) == {
        ("answer", "answer", "does_not_pass", "", bad): 1,
        ("answer", "answer", "does_not_pass", "", mute): 1,
        ("answer", "answer", "does_not_pass", "", worse): 1,
        ("teach", "judgement", "off_format", "", mute): 3,
        ("teach", "judgement", "votes_differ", "", unsure): 3,
        ("teach", "refinement", "does_not_pass", "", worse): 9,
    }


def test_equal_chats_are_learnt_once(engine: Made) -> None:
    """Three refinements of an answer are the same, and one that fails is its own refinement."""
    assert sum(row.task == "judge" for row in engine["lessons"]) == 27
    assert Counter(row.task for row in engine["sft_refiner"]) == {"judge": 2 * 6, "refine": 3}
    assert len(engine["sft_actor"]) == 2


def test_who_is_asked_what(engine: Made) -> None:
    asked = {
        name: {(role({"messages": each.messages}), each.n) for each in played.requests}
        for name, played in engine.engines.items()
    }
    assert asked == {
        "actor": {("actor", 3)},
        "teacher": {("actor", 1), ("judge", 5), ("refine", 3)},
    }
    assert {row.teacher for row in (*engine["lessons"], *engine["sft_actor"])} == {"teacher"}
    assert {row.model for row in engine["responses"]} == {"actor"}


def test_prompts_of_other_splits_are_not_taught_on() -> None:
    splits = ("train", "test", "train", "test", "train")
    asked = [topics(text, split=split)[0] for text, split in zip(TOPICS, splits, strict=True)]
    made = taught_by_engine(asked)
    consistent(made, asked)
    others = {prompt.prompt_id for prompt in asked if prompt.split != "train"}
    assert len(made["lessons"]) == 3 + 12
    for table in ("responses", "lessons", "sft_actor", "sft_refiner", "drops"):
        assert not {row.prompt_id for row in made[table]} & others, table


def test_a_teacher_that_is_off_the_format_teaches_nothing() -> None:
    def play(request: ChatRequest) -> list[str]:
        is_answer = role({"messages": request.messages}) == "actor"
        return PLAY(request) if is_answer else ["So so."] * request.n

    made = taught_by_engine(topics(*TOPICS), play)
    assert Counter((row.what, row.cause) for row in made["drops"]) == {
        ("answer", "does_not_pass"): 5,
        ("judgement", "off_format"): 15,
    }
    assert made["failures"] == made["sft_refiner"] == made["sft_actor"] == []


def test_refinements_off_the_format_are_counted() -> None:
    asked: list[int] = []

    def play(request: ChatRequest) -> list[str]:
        if role({"messages": request.messages}) != "refine":
            return PLAY(request)
        asked.append(request.n)
        return ["So so."] * request.n

    made = taught_by_engine(topics(TOPICS[1]), play)
    assert Counter((row.what, row.cause) for row in made["drops"]) == {
        ("answer", "does_not_pass"): 1,
        ("refinement", "off_format"): sum(asked),
    }
    assert len(made["lessons"]) == 3
    assert made["sft_refiner"] == [], "none that says Yes"


@pytest.mark.parametrize(
    ("who", "stages"),
    [("judge", {"answer", "teach"}), ("refine", {"teach"}), ("actor", {"answer"})],
)
def test_a_request_that_is_refused_is_a_failure_of_its_item(who: str, stages: set[str]) -> None:
    ill = TOPICS[1]

    def play(request: ChatRequest) -> list[str]:
        body = {"messages": request.messages}
        is_it = role(body) == who and ill in request.messages[0]["content"]
        if is_it and (who != "actor" or request.n == 1):
            raise RequestRefused("content policy")
        return PLAY(request)

    made = taught_by_engine(topics(*TOPICS[:2]), play)
    assert {(row.error, row.payload) for row in made["failures"]} == {("refused", ill)}
    assert {row.stage for row in made["failures"]} == stages


@pytest.fixture
def answered() -> Tables:
    made = prompts()
    respond(made, "r", text="bad")
    return made


def test_options_of_a_teacher(answered: Tables) -> None:
    options: dict[str, Any] = {"teach_votes": 3, "refinements": 2, "teach_judge_temperature": 0.1}
    play = as_script(
        lambda body: (
            [
                "Final Refined Output: [[start]] good [[end]]"
                if role(body) == "refine"
                else "Final Judgement: No"
            ]
            * body["n"]
        )
    )
    made = run_stage(TEACH_BY_ENGINE, answered, play, constrained="on", **options)
    asked = made.engines["teacher"].requests
    assert {(role({"messages": each.messages}), each.n) for each in asked} == {
        ("judge", 3),
        ("refine", 2),
    }
    assert asked[0].sampling.temperature == 0.1
    assert all(each.grammar for each in asked)
    for wrong in ({"refinements": 0}, {"teach_votes": 0}):
        with pytest.raises(UsageError, match=f"--{min(wrong)}"):
            run_stage(TEACH_BY_ENGINE, answered, play, **wrong)


def test_a_teachers_own_answer_must_pass_its_own_votes() -> None:
    votes = ["Final Judgement: Yes"] * 3 + ["Final Judgement: No"] * 2
    asked = topics("Say it.")
    [row] = run_stage(ANSWER, {"prompts": asked}, ["Here it is.", *votes])["sft_actor"]
    assert (row.sft_id, row.source, row.value, row.teacher) == (
        *(f"i1.{asked[0].prompt_id}.answer", "answer", 0.6, "scripted"),
    )
    assert [turn.content for turn in row.messages] == ["Say it.", "Here it is."]
    assert row.reasoning is None
    made = run_stage(ANSWER, {"prompts": asked}, ["Here it is.", *votes[2:], *votes[3:]])
    assert (made["sft_actor"], [row.cause for row in made["drops"]]) == ([], ["does_not_pass"])
