"""Stages own their settings: what their rows depend on, under names that early runs have too."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser
from typing import Any

import pytest

from spar_core import backtranslation, meta_judging, rating
from spar_core.constraints import wordings
from spar_core.engine.spec import EngineSpec
from spar_core.methods import METHODS
from spar_core.stage import Stage, StageSettings, add_options, roles_of
from spar_core.verification import engine as verification
from spar_core.verification import relevance

STAGES: dict[str, Stage[Any]] = {
    stage.name: stage for stages in METHODS.values() for stage in stages
}
JUDGE = {
    "judge.ask_again": 2,
    "judge.checks": "veto",
    "judge.constrained": False,
    "judge.quorum": 3,
    "judge.sampling.max_tokens": 2048,
    "judge.sampling.temperature": 0.7,
    "judge.sampling.top_p": 1.0,
    "judge.stop_votes": False,
    "judge.votes": 5,
    "judge.wording": wordings.fingerprint(),
}
SEARCH = {
    "search.branch": 3,
    "search.constrained": False,
    "search.depth": 3,
    "search.judge_once": False,
    "search.keep": 2,
    "search.sampling.max_tokens": 3072,
    "search.sampling.temperature": 0.7,
    "search.sampling.top_p": 1.0,
    "search.stop_level": False,
    "search.counts_malformed": False,
}
RATING = {"rate.max_tokens": 2048, "rate.temperature": 0.7, "rate.top_p": 0.9, "ratings": 3}
NAMED: dict[str, dict[str, Any]] = {
    "sample": {
        "actor.max_tokens": 2048,
        "actor.temperature": 0.9,
        "actor.top_p": 0.9,
        "responses": 5,
        "seed": 0,
    },
    "judge": {**JUDGE, "judge_once": False, "seed": 0},
    "tree_search": {
        **JUDGE,
        **SEARCH,
        "search.budget": 15,
        "search.strategy": "bfs",
        "seed": 0,
    },
    "pairs": {"seed": 0},
    "rft": {"seed": 0},
    "independent": {"seed": 0},
    "verifiers": {
        "seed": 0,
        "wording": verification.fingerprint(),
        "write.functions": 8,
        "write.limits.memory_mb": 64,
        "write.limits.seconds": 1.0,
        "write.sampling.max_tokens": 1024,
        "write.sampling.temperature": 0.7,
        "write.sampling.top_p": 1.0,
    },
    "verify": {"limits.memory_mb": 64, "limits.seconds": 1.0, "seed": 0},
    "relevance": {
        "constrained": False,
        "score.max_tokens": 2048,
        "score.temperature": 0.7,
        "score.top_p": 0.9,
        "scores": 3,
        "seed": 0,
        "wording": relevance.fingerprint(),
    },
    "autoif": {"seed": 0},
    "rate": {**RATING, "constrained": False, "rubric": rating.fingerprint(), "seed": 0},
    "self_rewarding": {"seed": 0},
    "meta_rewarding": {"rho": 0.1, "seed": 0},
    "meta_judge": {
        "constrained": False,
        "meta.max_tokens": 2048,
        "meta.temperature": 0.7,
        "meta.top_p": 0.9,
        "rubric": meta_judging.fingerprint(),
        "seed": 0,
    },
    "judge_pairs": {"seed": 0},
    "self": {**JUDGE, **SEARCH, "search.budget": 1, "search.strategy": "iterative", "seed": 0},
    "backtranslate": {
        "seed": 0,
        "wording": backtranslation.fingerprint(),
        "write.max_tokens": 512,
        "write.temperature": 0.7,
        "write.top_p": 0.9,
    },
    "curate": {**RATING, "constrained": False, "seed": 0, "rubric": backtranslation.fingerprint()},
}
"""By stage; runs are begun under these names, so that to change one is to refuse all of them.

Some of them came later: a claim leaves those of checks, of votes asked for again and of unreadable
refinements out where they say what was so before, and a `wording` that it lacks is not compared
(`test_variants.py`).
"""


def settings(stage: Stage[Any], *argv: str) -> StageSettings:
    parser = ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser, tuple(stage.upstream()))
    options = parser.parse_args(argv)
    options.engines = {role: EngineSpec("openai", "m") for role in ("actor", "refiner", "judge")}
    options.bundled = frozenset()
    made: StageSettings = stage.settings(options)
    return made


@pytest.mark.parametrize("name", STAGES)
def test_settings_have_the_names_that_runs_were_begun_with(name: str) -> None:
    assert settings(STAGES[name]).named() == NAMED[name]


@pytest.mark.parametrize("name", STAGES)
def test_whatever_a_stage_declares_is_in_its_claim(name: str) -> None:
    made = settings(STAGES[name])
    named = made.named()
    for field in dataclasses.fields(made):
        held = getattr(made, field.name)
        if dataclasses.is_dataclass(held):
            assert any(key.startswith(f"{field.name}.") for key in named), field.name
        else:
            assert named[field.name] == held


@pytest.mark.parametrize("missing", ["settings", "writes", "task", "items"])
def test_a_stage_that_declares_nothing_cannot_be_made(missing: str) -> None:
    given = {f.name: getattr(STAGES["pairs"], f.name) for f in dataclasses.fields(Stage)}
    del given[missing]
    with pytest.raises(TypeError, match=missing):
        Stage(**given)


def test_upstream_is_in_order_and_has_each_once() -> None:
    names = [stage.name for stage in STAGES["rft"].upstream()]
    assert names == ["sample", "judge", "tree_search", "rft"]


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_stages_come_after_what_they_read(method: str) -> None:
    seen: set[str] = set()
    for stage in METHODS[method]:
        assert {each.name for each in stage.after} <= seen
        seen.add(stage.name)


def test_roles_are_those_of_the_stages_and_of_whom_they_stand_in_for() -> None:
    assert roles_of((STAGES["sample"],)) == ("actor",)
    assert roles_of((STAGES["judge"],)) == ("refiner", "judge")
    assert roles_of((STAGES["pairs"], STAGES["rft"])) == ()


def test_options_are_those_of_the_stages_each_once() -> None:
    def of(*names: str) -> set[str]:
        parser = ArgumentParser(add_help=False)
        add_options(parser, tuple(STAGES[name] for name in names))
        return set(parser._option_string_actions)

    assert "--responses" in of("sample") and "--votes" not in of("sample")
    assert "--votes" in of("judge") and "--depth" not in of("judge")
    assert of("pairs", "rft") == set()
    assert of("judge", "tree_search") == of("judge") | of("tree_search")
