"""Refinement: which answers of a run are refined, who judges, and what the figures come to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluation.benchmark import BadData, Finding, Scored, details
from evaluation.benchmarks import refinement
from evaluation.benchmarks.refinement import REFINEMENT, check, figures, grade, read
from evaluation.intervals import interval
from schemas.items import Item
from schemas.judgements import Judgement
from schemas.prompts import Check, Prompt
from schemas.responses import Response, SamplingRecord
from schemas.table import MAIN
from spar_core.conversation import judge_messages
from spar_core.engine.protocol import Sampling
from spar_core.engine.scripted import ScriptedEngine
from spar_core.voting import JudgeSettings
from tests.committed import commit

NO_COMMA = Check("punctuation:no_comma", "{}")
LOWER = Check("change_case:english_lowercase", "{}")
WORDS = Check(
    "length_constraints:number_words", json.dumps({"num_words": 3, "relation": "at least"})
)


def prompt(name: str, position: int, checks: list[Check] | None = None) -> Prompt:
    return Prompt(name, f"Say {name}.", f"p.jsonl:{position}", position, checks)


def response(name: str, variant: str = MAIN) -> Response:
    drawn = SamplingRecord(0.9, 0.9, 64, 1)
    return Response(name, name[:1], f"text of {name}", "actor", drawn, "stop", 1, 1, variant)


def judgement(
    name: str, verdict: str, checked: bool | None = None, variant: str = MAIN
) -> Judgement:
    return Judgement(
        *(name, name[:1], verdict, 0.0, 0, 1, 0, "", [], "refiner", 1, 1, checked, variant)
    )


def write(run: Path, judgements: Sequence[Judgement], iteration: int = 1) -> None:
    """An iteration with the responses that are judged, and two prompts."""
    prompts = [prompt("b", 1, [NO_COMMA]), prompt("a", 2)]
    commit(run, "prompts", prompts, iteration=iteration)
    commit(
        *(run, "responses", [response(each.response_id, each.variant) for each in judgements]),
        iteration=iteration,
    )
    commit(run, "judgements", judgements, iteration=iteration)


def test_failing_answers_are_items(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            judgement("a0", "no"),
            judgement("a1", "yes"),
            judgement("a2", "tie"),
            judgement("a3", "no"),
            judgement("b0", "yes", False),
            judgement("b1", "no", True),
            judgement("b2", "no", False),
            judgement("b3", "no_quorum"),
            judgement("a4", "no", variant="dfs"),
        ],
    )
    items = list(read([tmp_path]))
    assert [each.key for each in items] == ["b0", "b2", "a0", "a3"]
    assert [each.position for each in items] == [0, 1, 2, 3]
    first = items[0]
    assert (first.prompt, first.given) == ("Say b.", "text of b0")
    assert (first.checks, items[2].checks) == ([NO_COMMA], None)
    assert [details(each)["prompt_id"] for each in items] == ["b", "b", "a", "a"]
    assert (first.benchmark, REFINEMENT.answers) == ("refinement", "refinement")


def test_the_last_iteration_with_failing_answers_counts(tmp_path: Path) -> None:
    write(tmp_path, [judgement("a0", "no")], 1)
    write(tmp_path, [judgement("a5", "no"), judgement("b5", "yes", False)], 2)
    write(tmp_path, [judgement("a6", "yes"), judgement("b6", "no", True)], 3)
    assert [each.key for each in read([tmp_path])] == ["b5", "a5"]


def test_without_a_run_or_failures_there_is_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"nowhere: no run there .* give the folder that"):
        list(read([tmp_path / "nowhere"]))
    with pytest.raises(BadData, match="the folder of one run, not 2 paths"):
        list(read([tmp_path, tmp_path]))
    write(tmp_path, [judgement("a0", "yes"), judgement("b0", "no", True)])
    with pytest.raises(BadData, match=r"no failing answers: .* pipelines\.sample --run") as refused:
        list(read([tmp_path]))
    assert "\n" not in str(refused.value)


def item(name: str, checks: list[Check] | None = None) -> Item:
    return Item(
        *("", "refinement", name, "Say it.", 0),
        checks=checks,
        given="a, b",
        details=json.dumps({"prompt_id": name[:1]}),
    )


def test_a_program_checks_the_whole_and_each() -> None:
    pytest.importorskip("lm_eval", reason="the extra `checks` is not installed")
    asked = item("a0", [NO_COMMA, LOWER])
    assert check(asked, "One two") == [
        Finding("program", 0.0),
        Finding("program", 1.0, 0, NO_COMMA.id),
        Finding("program", 0.0, 1, LOWER.id),
    ]
    assert [found.value for found in check(asked, "one two")] == [1.0, 1.0, 1.0]
    assert [found.value for found in check(asked, " ")] == [0.0, 0.0, 0.0]
    assert check(item("a0"), "one two") == []


def test_a_check_that_cannot_run_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "follows", lambda checks, text: None)
    assert check(item("a0", [WORDS]), "a b") == [
        Finding("program", None, None, None, "a checker could not run"),
        Finding("program", None, 0, WORDS.id, "a checker could not run"),
    ]


@pytest.mark.parametrize(
    ("votes", "value", "critique"),
    [
        (["Yes", "Yes", "No"], 1.0, "Final Judgement: Yes"),
        (["No", "Yes", "No"], 0.0, "Final Judgement: No"),
        (["Yes", "?", "No"], None, "tie: Final Judgement: No"),
        (["Yes", "?", "?"], None, "no_quorum: Final Judgement: Yes"),
    ],
)
def test_another_judge_says_what_passes(
    votes: list[str], value: float | None, critique: str
) -> None:
    engine = ScriptedEngine(lambda request: [f"Final Judgement: {vote}" for vote in votes])
    judging = JudgeSettings(Sampling(0.7, 1.0, 64), votes=3, quorum=2)
    [found] = asyncio.run(grade(engine, judging, item("a0"), "b a", 4))
    [request] = engine.requests
    assert [*request.messages] == judge_messages("Say it.", "b a")
    assert (request.n, request.seed) == (3, 4)
    assert (found.metric, found.value, found.critique) == ("judge", value, critique)
    assert min(found.prompt_tokens, found.completion_tokens) > 0


def program(whole: float | None, *each: float | None) -> list[Finding]:
    kinds = (NO_COMMA.id, LOWER.id, LOWER.id)
    return [Finding("program", whole)] + [
        Finding("program", value, number, kinds[number]) for number, value in enumerate(each)
    ]


def test_figures_by_hand() -> None:
    both, double = [NO_COMMA, LOWER], [NO_COMMA, LOWER, LOWER]
    scored = [
        Scored(item("a0", both), [*program(1, 1, 1), Finding("judge", 1), Finding("self", 1)]),
        Scored(item("a1", both), [*program(0, 1, 0), Finding("judge", None), Finding("self", 1)]),
        Scored(item("b0", double), [*program(0, 0, 1, 0), Finding("judge", 0), Finding("self", 1)]),
        Scored(item("b1", [NO_COMMA]), [*program(None, None), Finding("self", None)]),
        Scored(item("c0"), [Finding("judge", 1), Finding("self", 0)]),
        Scored(item("d0", both), []),
    ]
    come: dict[tuple[str, str], object] = {}
    for each in figures(scored):
        found = interval(each.units)
        assert found
        come[each.metric, each.part] = (pytest.approx(found.value), each.scored, each.items)
    assert [metric for metric, _ in come] == ["program", "judge", "self", "program", "program"]
    assert come == {
        ("program", ""): (1 / 3, 3, 5),
        ("judge", ""): (2 / 3, 3, 6),
        ("self", ""): (3 / 4, 4, 6),
        ("program", LOWER.id): (2 / 4, 3, 4),
        ("program", NO_COMMA.id): (2 / 3, 3, 5),
    }
    [whole] = [each for each in figures(scored) if (each.metric, each.part) == ("program", "")]
    assert [(unit.key, unit.parts[0].over, unit.parts[0].under) for unit in whole.units] == [
        ("a", 1, 2),
        ("b", 0, 1),
    ]


def test_who_was_not_asked_has_no_figure() -> None:
    [alone] = figures([Scored(item("a0"), [Finding("self", 1)])])
    assert (alone.metric, alone.scored, alone.items) == ("self", 1, 1)
    [nothing] = figures([Scored(item("a0"), [])])
    assert (nothing.metric, nothing.units, nothing.scored, nothing.items) == ("self", [], 0, 1)
