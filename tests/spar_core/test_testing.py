"""The test kit: what it takes, what it refuses, and that a job does as it does."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas import TABLES
from schemas.failures import Failure
from schemas.prompts import Prompt
from schemas.responses import Response
from spar_core import testing
from spar_core.engine.protocol import ChatRequest, Choice, EngineGone, PromptTooLong
from spar_core.methods import spar
from spar_core.stage import Context, Item, Stage, StageSettings
from spar_core.stages.judge import JUDGE
from spar_core.stages.pairs import PAIRS
from spar_core.stages.rft import RFT
from spar_core.stages.sample import SAMPLE
from spar_core.stages.tree_search import TREE_SEARCH
from spar_core.testing import run_stage, run_stages
from terminal.exits import UsageError
from tests.loopback import as_script
from tests.pipelines import rounds

PROMPTS = [Prompt(f"p{n}", f"Prompt {n}.", "a file", n) for n in range(3)]


def texts(made: testing.Made) -> list[str]:
    return [row.response for row in made["responses"]]


def test_the_example_of_its_docstring_runs() -> None:
    tried = doctest.testmod(testing)
    assert (tried.failed, tried.attempted > 0) == (0, True)


def test_texts_are_given_in_the_order_of_the_items_keys() -> None:
    given = ["a", "b", "c", "d", "e", "f"]
    made = run_stage(SAMPLE, {"prompts": PROMPTS[::-1]}, given, responses=2)
    assert texts(made) == given
    assert [item["key"] for item in made.items["sample"]] == ["p0", "p1", "p2"]


@pytest.mark.parametrize("given", [(), ["only one"]])
def test_too_few_texts_are_an_error(given: Sequence[str]) -> None:
    with pytest.raises(ValueError, match=r"answers where 2 are asked for: Prompt 0\."):
        run_stage(SAMPLE, {"prompts": PROMPTS}, given, responses=2)


def test_one_text_answers_everything() -> None:
    assert texts(run_stage(SAMPLE, {"prompts": PROMPTS[:2]}, "yes", responses=2)) == ["yes"] * 4


def test_a_function_sees_the_request_and_says_how_an_answer_ended() -> None:
    def play(request: ChatRequest) -> Sequence[str | Choice]:
        return [Choice(request.messages[-1]["content"], "length", 7), "short"]

    made = run_stage(SAMPLE, {"prompts": PROMPTS[:1]}, play, responses=2)
    found = [(row.response, row.finish_reason) for row in made["responses"]]
    assert found == [("Prompt 0.", "length"), ("short", "stop")]


def test_a_role_without_answers_is_played_by_its_stand_in() -> None:
    tree = {
        "prompts": PROMPTS[:1],
        "responses": [{"prompt_id": "p0", "response_id": "r", "response": "bad"}],
        "judgements": [
            {
                "prompt_id": "p0",
                "response_id": "r",
                "verdict": "no",
                "value": 0.0,
                "critique": "",
                "votes": [],
            }
        ],
    }
    refined = "Final Refined Output: [[start]] good [[end]]\nFinal Judgement: Yes"
    one = run_stage(TREE_SEARCH, tree, {"refiner": refined})
    assert one.engines["judge"] is one.engines["refiner"]
    assert [row.model for row in one["trees"]] == ["refiner"]
    two = run_stage(TREE_SEARCH, tree, {"refiner": refined, "judge": "Final Judgement: No"})
    assert two.engines["judge"].requests
    assert [row.solved for row in (*one["trees"], *two["trees"])] == [True, False]


def test_options_are_those_of_the_command_line() -> None:
    asked = run_stage(SAMPLE, {"prompts": PROMPTS}, "x").engines["actor"].requests[0]
    assert (asked.n, asked.sampling.temperature, asked.sampling.max_tokens) == (5, 0.9, 2048)
    other = {"responses": 1, "actor_temperature": 0.5, "actor_max_tokens": 9}
    asked = run_stage(SAMPLE, {"prompts": PROMPTS}, "x", **other).engines["actor"].requests[0]
    assert (asked.n, asked.sampling.temperature, asked.sampling.max_tokens) == (1, 0.5, 9)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"respones": 2}, "--respones"),
        ({"votes": 0}, "--votes"),
        ({"quorum": 4, "votes": 3}, "--quorum 4 is more than --votes 3"),
        ({"judge_once": "maybe"}, "--judge_once"),
    ],
)
def test_options_that_a_job_refuses_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_stage(JUDGE, {}, **options)


def test_scope_split_seed_iteration_and_variant() -> None:
    held_out = [replace(PROMPTS[0], prompt_id="t", split="test"), *PROMPTS]
    made = run_stage(SAMPLE, {"prompts": held_out}, "x", responses=1, scope=["p1", "t"])
    assert [row.prompt_id for row in made["responses"]] == ["p1"]
    made = run_stage(SAMPLE, {"prompts": held_out}, "x", responses=1, split="test")
    assert [row.prompt_id for row in made["responses"]] == ["t"]
    one = run_stage(SAMPLE, {"prompts": PROMPTS[:1]}, "x", responses=1)
    for other in ({"seed": 1}, {"iteration": 2}):
        made = run_stage(SAMPLE, {"prompts": PROMPTS[:1]}, "x", responses=1, **other)
        assert made.engines["actor"].requests != one.engines["actor"].requests
    named = run_stage(SAMPLE, {"prompts": PROMPTS[:1]}, "x", responses=1, iteration=2, variant="v")
    ids = [made["responses"][0].response_id for made in (one, named)]
    assert ids == ["i1.p0.r0", "i2.p0.v.r0"]


def test_training_data_come_of_the_split_train_and_a_selection_of_all_its_prompts() -> None:
    made = run_stages(
        spar.STAGES,
        {"prompts": [*PROMPTS, replace(PROMPTS[0], prompt_id="t", split="test")]},
        as_script(rounds.story),
        split="test",
    )
    assert {row.prompt_id for row in made["trees"]} == {"t"}
    assert (made["pairs"], made["rft"]) == ([], [])
    whole = run_stages(spar.STAGES, {"prompts": PROMPTS}, as_script(rounds.story))
    part = run_stage(RFT, whole.rows | {"prompts": PROMPTS}, scope=["p0"])
    assert part["rft"] == whole["rft"] != []
    pairs = run_stage(PAIRS, whole.rows | {"prompts": PROMPTS}, scope=["p0"])["pairs"]
    assert pairs == [row for row in whole["pairs"] if row.prompt_id == "p0"] != []


def test_an_item_that_cannot_be_answered_is_a_failure_as_in_a_job(tmp_path: Path) -> None:
    def play(request: ChatRequest) -> str:
        if "Prompt 1" in request.messages[0]["content"]:
            raise PromptTooLong("too long by far", 2)
        return "fine"

    made = run_stage(SAMPLE, {"prompts": PROMPTS}, play, responses=1)
    assert [row.prompt_id for row in made["responses"]] == ["p0", "p2"]
    assert made["failures"] == [
        Failure("sample", "p1", "too_long", "too long by far", 2, "Prompt 1.")
    ]


def test_other_errors_are_raised() -> None:
    def away(_: ChatRequest) -> str:
        raise EngineGone("nobody is there")

    with pytest.raises(EngineGone, match="nobody"):
        run_stage(SAMPLE, {"prompts": PROMPTS}, away)
    with pytest.raises(KeyError, match="checks"):
        run_stage(odd("select prompt_id as key from prompts", writes_checks), {"prompts": PROMPTS})


async def writes_checks(_: Context[StageSettings], item: Item) -> dict[str, list[Any]]:
    return {"responses": item["checks"]}


async def writes_elsewhere(_: Context[StageSettings], item: Item) -> dict[str, list[Any]]:
    return {"pairs": [item]}


async def writes_what_does_not_fit(_: Context[StageSettings], item: Item) -> dict[str, list[Any]]:
    return {"responses": [Response(item["key"], *["x"] * 7)]}  # type: ignore[arg-type]


def odd(items: str, task: Any = writes_elsewhere) -> Stage[StageSettings]:
    return replace(PAIRS, name="odd", items=items, task=task, writes=("responses",), after=())


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"promts": []}, "no table promts: there are seeds"),
        ({"prompts": [{"prompt": "x", "propmt_id": "p"}]}, "prompts has no column propmt_id"),
        ({"prompts": [{"prompt_id": 7}]}, "a row of prompts does not fit its schema"),
        ({"responses": PROMPTS}, "a row of responses is a Response, not Prompt"),
    ],
)
def test_rows_that_no_table_has_are_refused(tables: testing.Tables, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run_stage(SAMPLE, tables, "x")


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        (odd("select 'k' as key from prompts"), "several items, or none, of key 'k'"),
        (odd("select null as key from prompts limit 1"), "of key None"),
        (odd("select prompt_id as key from prompts"), "does not say that it writes pairs"),
        (
            odd("select prompt_id as key from prompts", writes_what_does_not_fit),
            "a row of responses does not fit",
        ),
    ],
)
def test_defects_of_a_stage_are_told(stage: Stage[StageSettings], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run_stage(stage, {"prompts": PROMPTS})


def test_a_stage_sees_only_the_tables_that_it_says_it_reads() -> None:
    tables = {"prompts": PROMPTS, "ratings": []}
    with pytest.raises(Exception, match="ratings does not exist"):
        run_stage(odd("select rating_id as key from ratings"), tables)


def test_unknown_roles_are_refused() -> None:
    with pytest.raises(ValueError, match="no role refiner: there are actor"):
        run_stage(SAMPLE, {}, {"refiner": "x"})


def test_a_job_commits_the_rows_that_the_kit_returns(finished_run: Path) -> None:
    """The whole round on a server, and the same stages on the run's prompts in memory."""
    with rounds.connect(str(finished_run)) as connection:
        prompts = connection.sql("select * exclude (iteration) from prompts").to_arrow_table()
        made = run_stages(spar.STAGES, {"prompts": prompts.to_pylist()}, as_script(rounds.story))
        for name in ("responses", "judgements", "nodes", "trees", "pairs", "rft"):
            columns = f"* exclude (iteration{MODELS.get(name, '')})"
            committed = connection.sql(f"select {columns} from {name}").to_arrow_table()
            rows = TABLES[name].to_arrow(made[name]).select(committed.schema.names)
            assert listed(rows.to_pylist()) == listed(committed.to_pylist()) != []


MODELS = dict.fromkeys(("responses", "judgements", "trees"), ", model")


def listed(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, rows))
