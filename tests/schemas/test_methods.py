"""Methods side by side: what each used, asked for and made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from schemas import methods
from schemas.pairs import Message
from schemas.sft_actor import SftActor
from schemas.views import connect
from spar_core.dataset import Dataset, Settled
from spar_core.methods import METHODS
from tests.schemas import variants
from tests.schemas.variants import commit


def answer(key: str, method: str, *, checked: bool | None = None) -> SftActor:
    said = [Message("user", key), Message("assistant", "x")]
    return SftActor(f"{key}.{method}", said, key, "repair", "m", checked=checked, method=method)


def use(run: str, stage: str, requests: int, *, replayed: int = 0, variant: str = "main") -> None:
    """Ten tokens of prompt and a hundred of answers for each request, now or before a crash."""
    usage = {
        "requests": requests,
        "replayed": replayed,
        "replayed_prompt_tokens": 10 * replayed,
        "replayed_completion_tokens": 100 * replayed,
        "prompt_tokens": 10 * requests,
        "completion_tokens": 100 * requests,
    }
    settled = [Settled(f"used{requests}", {})]
    Dataset(run, 1).commit(stage, f"u{requests}", settled, usage, variant)


@pytest.fixture
def run(tmp_path: Path) -> str:
    """Three variants of spar, independent pairs, and answers by two methods and a teacher."""
    run = str(tmp_path / "run")
    variants.write(run)
    learnt = [answer("pa", "self", checked=True), answer("pb", "self", checked=False)]
    commit(run, "self", {"sft_actor": [*learnt, answer("pc", "self")]})
    commit(run, "teach", {"sft_actor": [answer("pd", "bootstrap")]})
    use(run, "sample", 2)
    use(run, "judge", 4)
    use(run, "tree_search", 8, replayed=1)
    use(run, "tree_search", 3, variant="dfs")
    use(run, "self", 1)
    use(run, "autoif", 0)
    use(run, "verifiers", 5)
    return run


def asked(run: str, sql: str) -> list[tuple[Any, ...]]:
    with connect(run) as connection:
        return connection.sql(sql).fetchall()


def test_every_method_that_the_jobs_know_is_known_here() -> None:
    known = {method: tuple(stage.name for stage in stages) for method, stages in METHODS.items()}
    assert known == methods.STAGES


def test_a_method_costs_what_its_stages_asked_for_shared_ones_too(run: str) -> None:
    query = """select method, variant, prompts, requests, prompt_tokens, completion_tokens,
        shared_tokens from methods where variant in ('main', 'dfs') order by method, variant"""
    assert asked(run, query) == [
        ("autoif", "main", 2, 7, 70, 700, 200),
        ("independent", "main", 1, 3, 30, 300, 300),
        ("self", "main", 2, 7, 70, 700, 600),
        ("spar", "dfs", 2, 9, 90, 900, 600),
        ("spar", "main", 2, 15, 150, 1500, 600),
    ]


def test_what_a_method_gives_is_counted_where_it_was_made(run: str) -> None:
    query = """select method, variant, prompts_used, pairs, answers, tokens_each
        from methods where variant in ('main', 'dfs') order by method, variant"""
    assert asked(run, query) == [
        ("autoif", "main", 0, 0, 0, None),
        ("independent", "main", 1, 1, 0, 300),
        ("self", "main", 3, 0, 3, 233),
        ("spar", "dfs", 2, 2, 0, 450),
        ("spar", "main", 1, 1, 0, 1500),
    ]
    assert not asked(run, "from methods where method = 'bootstrap'")


def test_a_programs_word_stands_beside_of_how_many_it_is(run: str) -> None:
    pairs = [
        dataclasses.replace(
            variants.independent("pb"),
            pair_id=str(n),
            chosen_checked=chosen,
            rejected_checked=other,
        )
        for n, (chosen, other) in enumerate([(True, False), (True, True), (True, None)])
    ]
    before = "checked, confirmed, share_confirmed, checked_answers, passing_answers, share_passing"
    query = f"select {before} from methods where method = '{{}}' and variant = 'main'"
    assert asked(run, query.format("self")) == [(None, None, None, 2, 1, 0.5)]
    [(checked, confirmed, *_)] = asked(run, query.format("independent"))
    commit(run, "independent", {"pairs": pairs})
    [(more, also, share, *_)] = asked(run, query.format("independent"))
    assert (more - checked, also - confirmed) == (2, 1)
    assert share == round(also / more, 3)


def test_overlap_is_of_prompts_that_something_was_made_of(run: str) -> None:
    query = """select method, variant, other_method, other_variant, prompts, other_prompts, shared,
        share_of_both from method_overlap
        where variant = 'main' and other_variant in ('main', 'dfs')"""
    assert asked(run, query) == [
        ("independent", "main", "self", "main", 1, 3, 1, 0.333),
        ("independent", "main", "spar", "dfs", 1, 2, 1, 0.5),
        ("independent", "main", "spar", "main", 1, 1, 1, 1.0),
        ("self", "main", "spar", "dfs", 3, 2, 2, 0.667),
        ("self", "main", "spar", "main", 3, 1, 1, 0.333),
    ]
