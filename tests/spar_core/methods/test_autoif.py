"""AutoIF: which answers are verified, paired and learnt, and what their rows say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pytest

from schemas import TABLES
from schemas.prompts import Prompt
from schemas.responses import Response, SamplingRecord
from schemas.verifications import Verification
from schemas.verifiers import Verifier
from spar_core.methods.autoif import AUTOIF
from spar_core.stage import Context, Stage, StageSettings
from spar_core.stages.verify import VERIFY, VerifySettings
from spar_core.verification.trial import Limits
from tests.spar_core.verification.answers import ALWAYS, LOWER, UPPER

CREATED = ("prompts", "responses", "verifiers", "verifications")


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        for name in CREATED:
            made.register("_none", TABLES[name].schema.empty_table())
            made.execute(f"create table {name} as from _none")
        made.execute("create table scope as select unnest(['p', 'q']) as prompt_id")
        for prompt in ("p", "q", "elsewhere"):
            put(made, "prompts", Prompt(prompt, f"do {prompt}", "f:1", 0))
        yield made


def put(db: duckdb.DuckDBPyConnection, table: str, *rows: object) -> None:
    db.register("_rows", TABLES[table].to_arrow(rows))
    db.execute(f"insert into {table} from _rows")


def respond(db: duckdb.DuckDBPyConnection, name: str, prompt: str, text: str) -> None:
    put(
        db,
        "responses",
        Response(name, prompt, text, "m", SamplingRecord(1, 1, 8, 0), "stop", 1, 1),
    )


def rate(
    db: duckdb.DuckDBPyConnection, name: str, prompt: str, rate: float | None, text: str = ""
) -> None:
    respond(db, name, prompt, text or f"text of {name}")
    put(db, "verifications", Verification(name, prompt, 0, 0, 0, rate, "writer", rate == 1))


def function(
    db: duckdb.DuckDBPyConnection, name: str, prompt: str, code: str, dropped: Any
) -> None:
    row = Verifier(name, prompt, code, [], "ran", 1, 1, 1, "", "", dropped, "", "writer", 1, 1)
    put(db, "verifiers", row)


def items(db: duckdb.DuckDBPyConnection, stage: Stage[Any], **bound: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]]
    found = db.sql(stage.items, params=bound or None).to_arrow_table().to_pylist()
    return found


def rows(item: dict[str, Any], variant: str = "main") -> dict[str, Any]:
    context = Context({}, StageSettings(), 2, variant)
    return dict(asyncio.run(AUTOIF.task(context, item)))


def verified(db: duckdb.DuckDBPyConnection) -> Sequence[Verification]:
    [item] = items(db, VERIFY)
    context = Context({}, VerifySettings(limits=Limits(0.5, 32)), 2, "main")
    return asyncio.run(VERIFY.task(context, item))["verifications"]


def test_kept_functions_of_a_prompt_are_asked_of_its_responses(
    db: duckdb.DuckDBPyConnection,
) -> None:
    for name, text in (("r1", "small"), ("r2", "LARGE"), ("r3", "")):
        respond(db, name, "p", text)
    respond(db, "of another", "q", "small")
    function(db, "v1", "p", LOWER, None)
    function(db, "v2", "p", "def evaluate(response):\n    return response[0].isalpha()", None)
    function(db, "v3", "p", ALWAYS, "fails_tests")
    function(db, "v4", "q", UPPER, "contradiction")
    assert verified(db) == [
        Verification("r1", "p", 2, 0, 0, 1.0, "writer"),
        Verification("r2", "p", 1, 1, 0, 0.5, "writer"),
        Verification("r3", "p", 0, 1, 1, 0.0, "writer"),
    ]


def test_what_no_function_can_decide_has_no_rate(db: duckdb.DuckDBPyConnection) -> None:
    respond(db, "r", "p", "small")
    function(db, "v", "p", "def evaluate(response):\n    while True: pass", None)
    assert verified(db) == [Verification("r", "p", 0, 0, 1, None, "writer")]


def test_the_best_accepted_answer_is_chosen_and_one_that_all_reject_is_rejected(
    db: duckdb.DuckDBPyConnection,
) -> None:
    for name, found in (("half", 0.5), ("best", 0.9), ("none", 0.0), ("few", 0.2), ("?", None)):
        rate(db, name, "p", found)
    rate(db, "q.few", "q", 0.4)
    rate(db, "q.none", "q", 0.0)
    rate(db, "other", "elsewhere", 1.0)
    [item] = items(db, AUTOIF, seed=0)
    made = rows(item)
    [pair] = made["pairs"]
    assert (pair.pair_id, pair.method, pair.prompt_id) == ("i2.p.autoif.pair", "autoif", "p")
    assert (pair.chosen_response_id, pair.rejected_response_id) == ("best", "none")
    assert (pair.chosen_value, pair.rejected_value) == (0.9, 0.0)
    assert (pair.chosen_checked, pair.rejected_checked) == (False, False)
    assert (pair.tree_id, pair.chosen_yes_votes) == (None, None)
    assert (pair.prompt[0].content, pair.chosen[0].content) == ("do p", "text of best")
    assert [(row.response_id, row.value) for row in made["sft_actor"]] == [
        ("best", 0.9),
        ("half", 0.5),
    ]
    learnt = made["sft_actor"][0]
    assert (learnt.sft_id, learnt.method) == ("best.autoif", "autoif")
    assert (learnt.source, learnt.teacher) == ("response", "writer")
    assert [(turn.role, turn.content) for turn in learnt.messages] == [
        ("user", "do p"),
        ("assistant", "text of best"),
    ]
    [of_another] = rows(item, "more")["pairs"]
    assert of_another.pair_id != pair.pair_id


def test_accepted_answers_are_learnt_where_there_is_no_pair(
    db: duckdb.DuckDBPyConnection,
) -> None:
    rate(db, "one", "p", 1.0, "the same")
    rate(db, "two", "p", 1.0, "the same\n")
    [item] = items(db, AUTOIF, seed=0)
    made = rows(item)
    assert made["pairs"] == []
    assert len(made["sft_actor"]) == 1, "equal answers once"


def test_the_seed_draws_among_equals(db: duckdb.DuckDBPyConnection) -> None:
    for number in range(3):
        rate(db, f"yes{number}", "p", 1.0)
        rate(db, f"no{number}", "p", 0.0)
    drawn = {
        (item["accepted"][0]["response_id"], item["rejected"]["response_id"])
        for seed in range(60)
        for item in items(db, AUTOIF, seed=seed)
    }
    assert len(drawn) == 9
    assert items(db, AUTOIF, seed=1) == items(db, AUTOIF, seed=1)
