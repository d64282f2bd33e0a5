"""The teacher that is a model, on a scripted engine: exact requests, lessons and drops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from spar_core.conversation import (
    Refinement,
    judge_grammar,
    judge_messages,
    refine_grammar,
    refine_messages,
)
from spar_core.engine.protocol import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Engine,
    RequestRefused,
    Sampling,
    seed_of,
)
from spar_core.engine.scripted import ScriptedEngine
from spar_core.preference import similarity
from spar_core.teaching.engine import Answer, TeachSettings, answer, lessons
from spar_core.teaching.lesson import Lesson, Lessons, Taken
from spar_core.voting import JudgeSettings

JUDGING = JudgeSettings(Sampling(0.7, 1.0, 2048), votes=5, quorum=3)
HOW = TeachSettings(JUDGING, Sampling(0.6, 0.9, 3072), refinements=3, closest=0.5)
SEED = 11
PROMPT = "Say it in small letters."
WRONG = "This is an answer in Capitals, quite long"
RIGHT = "this is an answer in capitals, quite long"
OTHER = "that was an answer in capitals, quite long"
FAR = "nothing like that"
LOWERCASE = [{"id": "change_case:english_lowercase", "kwargs": "{}"}]


def judged(text: str, verdict: str, number: int = 0) -> str:
    return f"Looking at {text!r}, {number}.\nFinal Judgement: {verdict}"


class Teacher:
    """A script: votes on texts by their letters (Y, N, ?), and refinements in turn."""

    def __init__(self, votes: dict[str, str], refined: Sequence[str | None] = ()) -> None:
        self._votes = votes
        self._refined = list(refined)

    def __call__(self, request: ChatRequest) -> list[str]:
        if len(request.messages) == 3:
            made = [self._refined.pop(0) for _ in range(request.n)]
            return ["no markers" if m is None else f"So. [[start]] {m} [[end]]" for m in made]
        found = re.search('Output: "(.*)"\n\nGo', request.messages[0]["content"], re.DOTALL)
        if found is None:
            return [WRONG]
        words = {"Y": "Yes", "N": "No", "?": "Who knows"}
        said = self._votes[found[1]]
        assert len(said) == request.n
        return [judged(found[1], words[vote], i) for i, vote in enumerate(said)]


def teach(
    script: Any, response: str = WRONG, how: TeachSettings = HOW, checks: Any = None
) -> tuple[Lessons, list[ChatRequest]]:
    engine = ScriptedEngine(script)
    made = asyncio.run(lessons(engine, PROMPT, checks, response, how, SEED))
    return made, engine.requests


def refined(text: str, value: float, checked: bool | None = None, vote: str = "No") -> Lesson:
    """The lesson that a text is what the wrong answer should have been."""
    return Lesson(
        "response",
        WRONG,
        judged(WRONG, vote),
        None,
        Refinement("So.", text),
        value=value,
        checked=checked,
        similarity=similarity(WRONG, text),
    )


def test_a_passing_answer_is_one_judgement_for_one_request() -> None:
    made, requests = teach(Teacher({WRONG: "YYYYN"}))
    assert made == Lessons([Lesson("response", WRONG, judged(WRONG, "Yes"), "Yes", value=0.8)])
    assert requests == [
        ChatRequest(
            messages=tuple(judge_messages(PROMPT, WRONG)),
            sampling=JUDGING.sampling,
            n=5,
            seed=seed_of(SEED, "judge"),
        )
    ]


def test_of_the_refinements_that_pass_the_best_is_kept() -> None:
    votes = {WRONG: "NNNNN", OTHER: "YYYYN", RIGHT: "YYYYY", FAR: "NNNNY"}
    made, requests = teach(Teacher(votes, [OTHER, RIGHT, FAR]))
    assert made.learnt == [
        Lesson("response", WRONG, judged(WRONG, "No"), "No", value=0.0),
        Lesson("refinement", OTHER, judged(OTHER, "Yes"), "Yes", value=0.8),
        Lesson("refinement", RIGHT, judged(RIGHT, "Yes"), "Yes", value=1.0),
        Lesson("refinement", FAR, judged(FAR, "No"), "No", value=0.2),
        refined(RIGHT, 1.0),
    ]
    assert made.taken == [Taken("refinement", "does_not_pass")]
    assert made.answer is None
    [refining] = [each for each in requests if len(each.messages) == 3]
    assert refining.messages == tuple(refine_messages(PROMPT, WRONG, judged(WRONG, "No")))
    assert (refining.n, refining.sampling) == (3, HOW.refine)
    assert len(requests) == 1 + 1 + 3
    assert len({each.seed for each in requests}) == len(requests)


def test_lessons_and_answers_have_what_the_teacher_thought_before_them() -> None:
    teacher = Teacher({WRONG: "NNNNN", RIGHT: "YYYYY"}, [RIGHT] * 3)

    def thinking(request: ChatRequest) -> list[Choice]:
        return [
            Choice(text, "stop", 1, f"{len(request.messages)}.{number}")
            for number, text in enumerate(teacher(request))
        ]

    made, _ = teach(thinking)
    assert [(lesson.source, lesson.label, lesson.reasoning) for lesson in made.learnt] == [
        ("response", "No", "1.0"),
        *[("refinement", "Yes", "1.0")] * 3,
        ("response", None, "3.0"),
    ]
    own = Teacher({WRONG: "YYYYY"})
    thought = ScriptedEngine(lambda request: [Choice(t, "stop", 1, "hm") for t in own(request)])
    assert answered(thought).reasoning == "hm"


@pytest.mark.parametrize(
    ("votes", "cause"),
    [
        ("YYYNN", "votes_differ"),
        ("NNNYY", "votes_differ"),
        ("YYN??", "votes_differ"),
        ("YYNN?", "votes_differ"),
        ("YY???", "votes_differ"),
        ("?????", "off_format"),
    ],
)
def test_a_judgement_in_doubt_teaches_nothing(votes: str, cause: str) -> None:
    made, requests = teach(Teacher({WRONG: votes}))
    assert made == Lessons([], [Taken("judgement", cause)])
    assert len(requests) == 1, "and is no ground for refining"


@pytest.mark.parametrize("votes", ["YYYYN", "YYYY?", "YYY??", "NNNNY"])
def test_four_of_five_that_can_be_read_are_enough(votes: str) -> None:
    made, _ = teach(Teacher({WRONG: votes}, [None] * 9))
    assert [each.label for each in made.learnt] == ["Yes" if "Y" in votes[:3] else "No"]


def test_the_program_has_the_last_word_on_a_judgement() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    made, _ = teach(Teacher({WRONG: "YYYYY"}), checks=LOWERCASE)
    assert made == Lessons([], [Taken("judgement", "program_disagrees")])
    made, _ = teach(Teacher({RIGHT: "NNNNN"}), RIGHT, checks=LOWERCASE)
    assert made == Lessons([], [Taken("judgement", "program_disagrees")])
    made, _ = teach(Teacher({RIGHT: "YYYYY"}), RIGHT, checks=LOWERCASE)
    assert made.learnt == [
        Lesson("response", RIGHT, judged(RIGHT, "Yes"), "Yes", value=1.0, checked=True)
    ]


def test_the_program_has_the_last_word_on_a_refinement() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    worse = WRONG.replace("This", "That")
    votes = {WRONG: "NNNNN", worse: "YYYYY", RIGHT: "YYYYY", OTHER: "NNNNN"}
    made, _ = teach(Teacher(votes, [worse, RIGHT, OTHER]), checks=LOWERCASE)
    assert made.learnt == [
        Lesson("response", WRONG, judged(WRONG, "No"), "No", value=0.0, checked=False),
        Lesson("refinement", RIGHT, judged(RIGHT, "Yes"), "Yes", value=1.0, checked=True),
        refined(RIGHT, 1.0, True),
    ]
    assert made.taken == [
        Taken("judgement", "program_disagrees"),
        Taken("refinement", "does_not_pass"),
        Taken("judgement", "program_disagrees"),
        Taken("refinement", "does_not_pass"),
    ]


def test_a_refinement_in_doubt_or_far_off_or_the_same_is_left_out() -> None:
    votes = {WRONG: "NNNNN", OTHER: "YYYNN", FAR: "YYYYY", RIGHT: "YYYYY"}
    made, _ = teach(Teacher(votes, [OTHER, FAR, OTHER]))
    assert [each.response for each in made.learnt] == [WRONG, FAR]
    assert made.taken == [
        Taken("judgement", "votes_differ"),
        Taken("refinement", "votes_differ"),
        Taken("refinement", "not_close"),
        Taken("judgement", "votes_differ"),
        Taken("refinement", "votes_differ"),
    ]
    made, _ = teach(Teacher(votes, [RIGHT] * 3), how=replace(HOW, closest=0.99))
    assert made.taken == [Taken("refinement", "not_close")] * 3
    made, _ = teach(Teacher(votes, [RIGHT] * 3), how=replace(HOW, closest=0.99), checks=LOWERCASE)
    assert made.taken == [], "letter case is what is asked for"


def test_a_refinement_that_changes_nothing_is_left_out() -> None:
    """A teacher that takes back what it said."""
    said = iter(["NNNNN", "YYYYY"])

    def script(request: ChatRequest) -> list[str]:
        if len(request.messages) == 3:
            return [f"[[start]] {WRONG} [[end]]"] * request.n
        return Teacher({WRONG: next(said)})(request)

    made, _ = teach(script, how=replace(HOW, refinements=1))
    assert made.taken == [Taken("refinement", "not_close")]
    assert [each.label for each in made.learnt] == ["No", "Yes"]


def test_refinements_off_the_format_are_asked_for_again_and_counted() -> None:
    made, requests = teach(Teacher({WRONG: "NNNNN"}, [None] * 100))
    assert [each.label for each in made.learnt] == ["No"]
    assert set(made.taken) == {Taken("refinement", "off_format")}
    asked = sum(each.n for each in requests if len(each.messages) == 3)
    assert len(made.taken) == asked
    again, _ = teach(Teacher({WRONG: "NNNNN", RIGHT: "YYYYY"}, [None, RIGHT, RIGHT, RIGHT]))
    assert again.taken == [Taken("refinement", "off_format")]
    assert refined(RIGHT, 1.0) in again.learnt


def test_a_grammar_holds_a_constrained_teacher_to_the_format() -> None:
    how = replace(HOW, judge=replace(JUDGING, constrained=True), constrained=True)
    _, requests = teach(Teacher({WRONG: "NNNNN", RIGHT: "YYYYY"}, [RIGHT] * 3), how=how)
    assert {each.grammar for each in requests} == {
        judge_grammar(JUDGING.sampling.max_tokens),
        refine_grammar(HOW.refine.max_tokens),
    }


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_refused_request_is_the_items_failure(turn: int) -> None:
    inner = Teacher({WRONG: "NNNNN", RIGHT: "YYYYY"}, [RIGHT] * 3)
    asked = []

    def script(request: ChatRequest) -> list[str]:
        asked.append(request)
        if len(asked) == turn:
            raise RequestRefused("content policy")
        return inner(request)

    with pytest.raises(RequestRefused):
        teach(script)


@pytest.mark.parametrize(
    "text", ["{response} [[start]] [[end]] x", 'A "quoted" Output: "one"', "x" * 20_000]
)
def test_a_hostile_answer_is_judged_like_any_other(text: str) -> None:
    def script(request: ChatRequest) -> list[str]:
        assert text in request.messages[0]["content"]
        return [judged("it", "Yes")] * request.n

    made, _ = teach(script, text)
    assert [each.response for each in made.learnt] == [text]


class CutOff(ScriptedEngine):
    """Its answers end where no more tokens were allowed."""

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        answer = await super().chat(request)
        choices = tuple(replace(each, finish_reason="length") for each in answer.choices)
        return replace(answer, choices=choices)


ANSWERING = Sampling(0.5, 0.8, 99)


def answered(engine: Engine, checks: Any = None) -> Answer:
    return asyncio.run(answer(engine, PROMPT, checks, ANSWERING, JUDGING, SEED))


def test_an_answer_of_its_own_must_pass() -> None:
    engine = ScriptedEngine(Teacher({WRONG: "YYYNN"}))
    assert answered(engine) == Answer(WRONG, 0.6, None, "")
    assert engine.requests == [
        ChatRequest(({"role": "user", "content": PROMPT},), ANSWERING, 1, seed_of(SEED, "answer")),
        ChatRequest(
            tuple(judge_messages(PROMPT, WRONG)), JUDGING.sampling, 5, seed_of(SEED, "judge")
        ),
    ]
    for votes, value in (("NNNNN", 0.0), ("YYNN?", 0.5), ("?????", None)):
        found = answered(ScriptedEngine(Teacher({WRONG: votes})))
        assert found == Answer(WRONG, value, None, "does_not_pass")


def test_the_program_has_the_last_word_on_an_answer() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    found = answered(ScriptedEngine(Teacher({WRONG: "YYYYY"})), LOWERCASE)
    assert found == Answer(WRONG, 1.0, False, "does_not_pass")


def test_an_answer_that_is_cut_off_or_empty_is_not_judged() -> None:
    engine = CutOff(Teacher({}))
    assert answered(engine) == Answer(WRONG, None, None, "cut_off")
    assert len(engine.requests) == 1
    for text in ("", " \n"):
        silent = ScriptedEngine(lambda _, text=text: [text])  # type: ignore[misc]
        assert answered(silent) == Answer("", None, None, "empty")
        assert len(silent.requests) == 1
    assert answered(CutOff(lambda _: [" "])).cause == "empty"
