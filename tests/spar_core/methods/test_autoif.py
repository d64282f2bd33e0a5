"""AutoIF: which answers are paired and learnt, and what their rows say."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.prompts import Prompt
from spar_core.engine.protocol import ChatRequest
from spar_core.methods.autoif import AUTOIF, STAGES
from spar_core.testing import Made, run_stage, run_stages
from tests.spar_core.rows import Tables, add, prompts, respond
from tests.spar_core.sandbox.hostile import HOSTILE
from tests.spar_core.sandbox.watch import Watch
from tests.spar_core.verification import answers

TEXTS = [f"Prompt {n}: small letters only." for n in range(6)]


@pytest.fixture
def tables() -> Tables:
    return prompts()


def rate(
    tables: Tables,
    name: str,
    prompt: str,
    found: float | None,
    text: str | None = None,
    *,
    is_relevant: bool = True,
) -> None:
    """Add a response with the share of the functions that accept it, and its relevance."""
    respond(tables, name, prompt, text)
    add(
        tables,
        "verifications",
        response_id=name,
        prompt_id=prompt,
        pass_rate=found,
        model="writer",
        checked=found == 1,
    )
    if found is not None and found >= 0.5:
        add(
            tables,
            "relevances",
            response_id=name,
            prompt_id=prompt,
            value=9.0 if is_relevant else 8.0,
            is_relevant=is_relevant,
        )


def test_an_accepted_answer_is_chosen_over_one_that_all_reject(tables: Tables) -> None:
    for name, found in (("half", 0.5), ("none", 0.0), ("few", 0.2), ("?", None)):
        rate(tables, name, "p", found)
    rate(tables, "off", "p", 1.0, is_relevant=False)
    rate(tables, "q.few", "q", 0.4)
    rate(tables, "q.none", "q", 0.0)
    rate(tables, "other", "elsewhere", 1.0)
    made = run_stage(AUTOIF, tables, iteration=2)
    [pair] = made["pairs"]
    assert (pair.pair_id, pair.method, pair.prompt_id) == ("i2.p.0.0.autoif.pair", "autoif", "p")
    assert (pair.chosen_response_id, pair.rejected_response_id) == ("half", "none")
    assert (pair.chosen_value, pair.rejected_value) == (0.5, 0.0)
    assert (pair.chosen_checked, pair.rejected_checked) == (False, False)
    assert (pair.tree_id, pair.chosen_yes_votes) == (None, None)
    assert (pair.prompt[0].content, pair.chosen[0].content) == ("do p", "text of half")
    [learnt] = made["sft_actor"]
    assert (learnt.response_id, learnt.value) == ("half", 0.5)
    assert (learnt.sft_id, learnt.method) == ("half.autoif", "autoif")
    assert (learnt.source, learnt.teacher) == ("response", "writer")
    assert [(turn.role, turn.content) for turn in learnt.messages] == [
        ("user", "do p"),
        ("assistant", "text of half"),
    ]
    [of_another] = run_stage(AUTOIF, tables, iteration=2, variant="more")["pairs"]
    assert of_another.pair_id != pair.pair_id


def test_answers_off_the_subject_are_neither_chosen_nor_learnt(tables: Tables) -> None:
    rate(tables, "off", "p", 1.0, is_relevant=False)
    rate(tables, "none", "p", 0.0)
    respond(tables, "not scored", "p")
    row = {"response_id": "not scored", "prompt_id": "p", "pass_rate": 1.0, "model": "writer"}
    add(tables, "verifications", **row)
    made = run_stage(AUTOIF, tables)
    assert made["pairs"] == made["sft_actor"] == []


@pytest.mark.parametrize(
    ("accepted", "rejected", "pairs"), [(1, 1, 1), (1, 3, 2), (2, 1, 2), (3, 3, 4), (0, 2, 0)]
)
def test_up_to_two_of_each_are_drawn_and_paired(
    tables: Tables, accepted: int, rejected: int, pairs: int
) -> None:
    for number in range(accepted):
        rate(tables, f"yes{number}", "p", 1.0)
    for number in range(rejected):
        rate(tables, f"no{number}", "p", 0.0)
        rate(tables, f"no{number} again", "p", 0.0, f"text of no{number}\n")
    made = run_stage(AUTOIF, tables)
    assert len(made["pairs"]) == pairs
    assert len({pair.pair_id for pair in made["pairs"]}) == pairs
    texts = {(pair.chosen[0].content, pair.rejected[0].content) for pair in made["pairs"]}
    assert len(texts) == pairs, "equal answers count once"
    assert len(made["sft_actor"]) == accepted
    again = run_stage(AUTOIF, tables)
    assert again["pairs"] == made["pairs"], "their names are stable"


def test_accepted_answers_are_learnt_where_there_is_no_pair(tables: Tables) -> None:
    rate(tables, "one", "p", 1.0)
    made = run_stage(AUTOIF, tables)
    assert made["pairs"] == []
    assert len(made["sft_actor"]) == 1


def test_the_seed_draws_whatever_the_pass_rate(tables: Tables) -> None:
    for prompt in range(60):
        tables["prompts"].append({"prompt_id": f"p{prompt}", "prompt": "do it"})
        for number, found in enumerate((0.5, 0.7, 1.0)):
            rate(tables, f"{prompt}.yes{number}", f"p{prompt}", found)
            rate(tables, f"{prompt}.no{number}", f"p{prompt}", 0.0)

    def drawn(seed: int) -> list[tuple[str, str]]:
        pairs = run_stage(AUTOIF, tables, seed=seed)["pairs"]
        return [(pair.chosen_response_id, pair.rejected_response_id) for pair in pairs]

    often = Counter(chosen[-1] for chosen, _ in drawn(0))
    assert {*often} == {"0", "1", "2"}
    assert min(often.values()) > 50, "the lowest pass rate is drawn as often as the highest"
    assert len({(chosen[-1], rejected[-1]) for chosen, rejected in drawn(0)}) == 9
    assert drawn(1) == drawn(1) != drawn(0)


def says(content: str, n: int) -> Sequence[str]:
    """Every prompt has two good functions of four, and answers of which two are accepted.

    One of the two is off the subject of every third prompt.
    """
    asked = answers.kind(content)
    if asked == "score":
        is_off = "small, too" in content and re.search(r"Prompt [03]:", content)
        return [f"Score: {2 if is_off else 9}"] * n
    if asked == "write":
        codes = (answers.LOWER, answers.UPPER, answers.LOWER.replace("True.", "It is."))
        return [*(answers.function(code, *answers.CASES) for code in codes), "I cannot."][:n]
    if asked == "answer":
        return ["all small", f"Not small {content}", "small, too", "ALL LARGE", "Mixed"][:n]
    return ["Small letters."] if asked == "translate" else ["Relation: entailment"]


@pytest.fixture(scope="module")
def whole() -> Made:
    """A whole round; for reading only."""
    rows = [Prompt(f"p{n}", text, "a file", n) for n, text in enumerate(TEXTS)]

    def play(request: ChatRequest) -> Sequence[str]:
        return says(request.messages[-1]["content"], request.n)

    return run_stages(STAGES, {"prompts": rows}, {"actor": play, "verifier": play}, functions=4)


def test_in_a_whole_round_each_engine_is_asked_its_own(whole: Made) -> None:
    kinds: dict[str, Any] = {
        role: Counter(answers.kind(each.messages[-1]["content"]) for each in engine.requests)
        for role, engine in whole.engines.items()
    }
    count = len(TEXTS)
    assert kinds["actor"] == {"answer": count}
    assert kinds["verifier"] == {
        "write": count,
        "translate": 2 * count,
        "compare": 2 * count,
        "score": 2 * count,
    }
    assert {row.model for row in whole["verifiers"]} == {"verifier"}
    assert {row.teacher for row in whole["sft_actor"]} == {"verifier"}


def test_a_whole_round_pairs_what_functions_accept_with_what_they_all_reject(
    whole: Made,
) -> None:
    count = len(TEXTS)
    pairs = Counter(pair.prompt_id for pair in whole["pairs"])
    assert pairs == {f"p{n}": 2 if n % 3 == 0 else 4 for n in range(count)}
    for pair in whole["pairs"]:
        assert (pair.chosen_value, pair.rejected_value) == (1, 0)
        assert pair.chosen_response_id[-2:] in ("r0", "r2")
        assert pair.rejected_response_id[-2:] in ("r1", "r3", "r4")
    learnt = Counter((row.messages[1].content, row.method) for row in whole["sft_actor"])
    assert learnt == {("all small", "autoif"): count, ("small, too", "autoif"): count * 2 // 3}


def test_hostile_functions_are_counted_and_all_prompts_are_done(tmp_path: Path) -> None:
    """Each of a prompt's own, before the function or within it, beside two honest ones."""
    count = len(HOSTILE)
    assert count >= 200
    rows = [
        Prompt(f"p{n:03}", f"Small letters only, please, no. {n}.", "a file", n)
        for n in range(count)
    ]
    with contextlib.closing(Watch(tmp_path)) as watch:
        made = run_stages(
            STAGES,
            {"prompts": rows},
            hostile(watch),
            functions=3,
            sandbox_seconds=0.1,
            sandbox_memory_mb=32,
        )
        assert watch.seen() == []
    assert made["failures"] == []
    is_honest = {row.verifier_id: row.verifier_id[-2:] in ("v0", "v1") for row in made["verifiers"]}
    assert {row.verifier_id: row.dropped is None for row in made["verifiers"]} == is_honest
    assert len(is_honest) == 3 * count
    found = Counter(row.outcome for row in made["verifiers"])
    assert found.keys() >= {"ran", "failed", "limit", "unsupported"}
    assert found["limit"] > 30
    assert found["unsupported"] > 30
    assert {pair.prompt_id for pair in made["pairs"]} == {row.prompt_id for row in rows}
    assert len(made["pairs"]) == count
    assert {row.pass_rate for row in made["verifications"]} == {0, 1}


def hostile(watch: Watch) -> Callable[[ChatRequest], Sequence[str]]:
    """Writes two honest functions and one with the hostile program that the prompt names."""

    def play(request: ChatRequest) -> Sequence[str]:
        last = request.messages[-1]["content"]
        asked = answers.kind(last)
        if asked == "write":
            number = int(re.findall(r"please, no\. (\d+)\.", last)[0])
            code, _ = HOSTILE[number]
            code = code.replace("FOLDER", str(watch.folder)).replace("PORT", str(watch.port))
            code = code.encode(errors="replace").decode()  # as an engine makes it storable
            inside = "".join(f"    {each}\n" for each in code.splitlines())
            before = f"{code}\n{answers.ALWAYS}"
            within = f"def evaluate(response):\n{inside}\n    return True\n"
            case = ("small", True)
            return [
                *[answers.function(answers.LOWER, *answers.CASES)] * 2,
                answers.function(before if number % 2 else within, case),
            ]
        if asked == "answer":
            return (["all small", "Not Small"] * 3)[: request.n]
        if asked == "score":
            return ["Score: 10"] * request.n
        return ["Small letters."] if asked == "translate" else ["Relation: entailment"]

    return play
