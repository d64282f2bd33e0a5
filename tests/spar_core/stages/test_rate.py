"""Rate: the actor's own ratings of each response."""

from __future__ import annotations

import pytest

from spar_core.stages.rate import RATE
from spar_core.testing import run_stage
from terminal.exits import UsageError
from tests.spar_core.rows import Tables, prompts, respond


@pytest.fixture
def tables() -> Tables:
    made = prompts()
    respond(made, "i1.p.r0")
    respond(made, "i1.q.r0", "q")
    respond(made, "other", "elsewhere")
    return made


def test_each_response_is_rated_several_times_by_one_request(tables: Tables) -> None:
    given = ["Good.\nScore: 4", "Score: 5", "So so.", "Score: 0", "Score: 1", "Score: 2"]
    made = run_stage(RATE, tables, {"actor": given})
    assert [
        (row.rating_id, row.response_id, row.prompt_id, row.number, row.score)
        for row in made["ratings"]
    ] == [
        ("i1.p.r0.s0", "i1.p.r0", "p", 0, 4.0),
        ("i1.p.r0.s1", "i1.p.r0", "p", 1, 5.0),
        ("i1.p.r0.s2", "i1.p.r0", "p", 2, None),
        ("i1.q.r0.s0", "i1.q.r0", "q", 0, 0.0),
        ("i1.q.r0.s1", "i1.q.r0", "q", 1, 1.0),
        ("i1.q.r0.s2", "i1.q.r0", "q", 2, 2.0),
    ]
    assert [row.critique for row in made["ratings"]] == given
    assert {(row.model, row.finish_reason) for row in made["ratings"]} == {("actor", "stop")}
    asked = made.engines["actor"].requests
    assert [each.n for each in asked] == [3, 3]
    assert len({each.seed for each in asked}) == 2
    shown = asked[0].messages[-1]["content"]
    assert "do p" in shown and "text of i1.p.r0" in shown
    assert [row.prompt_tokens > 0 for row in made["ratings"]] == [True, False, False] * 2


def test_how_often_and_how_is_told_by_options(tables: Tables) -> None:
    options = {"ratings": 1, "rate_temperature": 0.1, "constrained": "on"}
    made = run_stage(RATE, tables, "Score: 3", scope=["p"], **options)
    [asked] = made.engines["actor"].requests
    assert (asked.n, asked.sampling.temperature) == (1, 0.1)
    assert asked.grammar
    with pytest.raises(UsageError, match="--ratings"):
        run_stage(RATE, tables, ratings=0)


def test_a_variant_has_ids_of_its_own(tables: Tables) -> None:
    made = run_stage(RATE, tables, "Score: 3", ratings=1, scope=["p"], variant="more")
    assert [row.rating_id for row in made["ratings"]] == ["i1.p.r0.more.s0"]
