"""Evolve: seeds become prompts with constraints, by rules or by a model, and filters drop some."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.seeds import Seed
from spar_core.engine.protocol import ChatRequest, RequestRefused
from spar_core.evolution import rules
from spar_core.ids import prompt_id, seed_id
from spar_core.stages.evolve import EVOLVE_BY_ENGINE, EVOLVE_BY_RULES
from spar_core.stages.writers import WRITERS
from spar_core.testing import Answers, Made, run_stage, run_stages
from terminal.exits import UsageError
from tests.loopback import as_script
from tests.pipelines.seeds import (
    CONTRADICTORY,
    LEFT_OUT,
    OFF_FORMAT,
    REFUSED,
    SEEDS,
    is_check,
    seed_in,
    write,
)
from tests.spar_core.rows import seeds


@pytest.fixture(autouse=True)
def _libraries() -> None:
    for name in ("lm_eval", "datasketch", "py3langid"):
        pytest.importorskip(name, reason="the extras `checks` and `evolve` are not installed")


def by_rules(given: Sequence[Seed], **options: Any) -> Made:
    return consistent(run_stages(WRITERS[rules.NAME], {"seeds": given}, **options), given)


def by_engine(given: Sequence[Seed], answers: Answers, **options: Any) -> Made:
    tables = {"seeds": given}
    return consistent(run_stages(WRITERS["engine"], tables, {"writer": answers}, **options), given)


def consistent(made: Made, given: Sequence[Seed]) -> Made:
    """What must hold whatever seeds are evolved; returns what was made."""
    rows = {row.seed_id: row for row in made["evolutions"]}
    assert rows.keys() == {seed.seed_id for seed in given} - {row.key for row in made["failures"]}
    assert len(rows) == len(made["evolutions"])
    prompts = {row.prompt_id: row for row in made["prompts"]}
    assert len(prompts) == len(made["prompts"])
    assert prompts.keys() == {row.prompt_id for row in rows.values() if row.dropped is None}
    for seed in given:
        row = rows.get(seed.seed_id)
        if row is None or row.dropped is not None:
            assert row is None or row.prompt_id is None
            continue
        prompt = prompts[row.prompt_id]
        assert (row.seed, row.position, row.split) == (seed.seed, seed.position, seed.split)
        assert (prompt.prompt, prompt.source) == (row.prompt, row.evolution_id)
        assert (prompt.position, prompt.split) == (row.position, row.split)
        assert prompt.checks == row.checks
    return made


def ordered(made: Made) -> list[Any]:
    return sorted(made["evolutions"], key=lambda row: row.position)


def dropped(made: Made) -> dict[str, str]:
    return {row.seed: row.dropped for row in made["evolutions"] if row.dropped is not None}


@pytest.fixture(scope="module")
def evolved() -> Made:
    """What rules make of `SEEDS`; for reading only."""
    return by_rules(seeds(*SEEDS))


def test_prompts_are_evolved_by_rules(evolved: Made) -> None:
    rows = ordered(evolved)
    assert [row.seed for row in rows] == list(SEEDS)
    for row in rows:
        assert row.seed_id == seed_id(row.seed)
        assert row.evolution_id == f"i1.{row.seed_id}.e"
        assert row.prompt_id == prompt_id(row.prompt)
        assert row.prompt == f"{row.seed} {' '.join(row.constraints)}"
        assert (row.writer, row.verdict) == ("rules", "consistent")
        assert {each.id for each in row.checks} == {row.main, *row.further}
        assert 1 <= len(row.further) <= 3
    assert dropped(evolved) == {}
    zero = run_stage(EVOLVE_BY_RULES, {"seeds": seeds(SEEDS[0])}, iteration=0)["drafts"]
    assert zero[0].evolution_id == f"i0.{seed_id(SEEDS[0])}.e"


def test_what_filters_leave_out_is_told_by_cause() -> None:
    made = by_rules(seeds(*SEEDS, *LEFT_OUT))
    assert dropped(made) == LEFT_OUT
    assert all(len(row.why) > 9 for row in made["evolutions"] if row.dropped)
    near = [row.near for row in made["evolutions"] if row.dropped == "near_duplicate"]
    assert near == [seed_id(SEEDS[0])]
    assert len(made["prompts"]) == len(SEEDS)


def test_limits_of_filters_can_be_set() -> None:
    options = {"language": "any", "least_words": 1, "most_words": 2000}
    made = by_rules(seeds(*LEFT_OUT), **options)
    assert [*dropped(made).values()] == ["maths_or_code"]
    assert len(made["prompts"]) == 4


@pytest.mark.parametrize("how", ["whole", "changed", "inside"])
def test_a_benchmarks_prompts_are_left_out(tmp_path: Path, how: str) -> None:
    known = "Write a letter to the mayor of a small town in which you praise its old trees."
    planted = {
        "whole": known,
        "changed": known.replace("small", "large"),
        "inside": f"Please do this: {known} Thank you.",
    }[how]
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text(json.dumps({"prompt": known}) + "\n")
    made = by_rules(seeds(SEEDS[0], planted), decontaminate=[benchmark])
    assert dropped(made) == {planted: "contaminated"}
    assert [row.near for row in made["evolutions"] if row.dropped] == [f"{benchmark}:1"]


def test_prompts_that_are_nearly_the_same_are_kept_once() -> None:
    """Seeds that differ become prompts that do not."""

    def play(request: ChatRequest) -> str:
        if is_check({"messages": request.messages}):
            return "Consistent: Yes"
        return f"[[start]] {SEEDS[0]} Let it rhyme, and keep it short. [[end]]"

    made = by_engine(seeds(*SEEDS), play)
    causes = Counter(row.dropped for row in made["evolutions"])
    assert causes == {None: 1, "near_duplicate": len(SEEDS) - 1}
    [kept] = [row for row in made["evolutions"] if row.dropped is None]
    assert (kept.seed, kept.evolution_id) == (SEEDS[0], f"i1.{seed_id(SEEDS[0])}.e"), "the first"
    assert {row.near for row in made["evolutions"] if row.dropped} == {kept.evolution_id}


def test_a_seed_decides_what_is_drawn(evolved: Made) -> None:
    drawn = [
        [(row.main, row.further, row.constraints) for row in ordered(made)]
        for made in (evolved, by_rules(seeds(*SEEDS)), by_rules(seeds(*SEEDS), seed=1))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_only_some_kinds_are_drawn_and_only_so_many() -> None:
    kinds = "punctuation:no_comma, startend:quotation,punctuation:no_comma"
    made = by_rules(seeds(*SEEDS), kinds=kinds)
    drawn = {kind for row in made["evolutions"] for kind in (row.main, *row.further)}
    assert drawn == {"punctuation:no_comma", "startend:quotation"}
    assert {len(row.further) for row in by_rules(seeds(*SEEDS), more=1)["evolutions"]} == {1}


def test_kinds_that_contradict_a_seed_are_refused() -> None:
    quote = "Quote a famous sailor on the sea. Put it in quotes."
    made = by_rules(seeds(SEEDS[0], quote), kinds="startend:quotation")
    assert [(row.main, row.dropped, row.refused) for row in ordered(made)] == [
        ("startend:quotation", None, []),
        (None, "contradictory", ["startend:quotation"]),
    ]


def test_a_prompt_is_of_its_seeds_split() -> None:
    given = [seeds(SEEDS[0], split="test")[0], *seeds(*SEEDS[1:2])]
    made = by_rules(given)
    assert {row.prompt.startswith(SEEDS[0]): row.split for row in made["prompts"]} == {
        True: "test",
        False: "train",
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kinds": "punctuation:no_coma"}, "no kind 'punctuation:no_coma'"),
        ({"kinds": " ,"}, "names no kind"),
        ({"least_words": 9, "most_words": 8}, "--least_words 9 is over --most_words"),
        ({"decontaminate": ["nowhere.jsonl"]}, "--decontaminate: nowhere.jsonl: no such file"),
        ({"more": -1}, "--more: must be a whole number"),
    ],
    ids=str,
)
def test_values_that_are_none_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run_stage(EVOLVE_BY_RULES, {}, **options)


def test_a_kind_whose_checker_has_no_data_here_is_not_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [])
    kind = "length_constraints:number_sentences"
    with pytest.raises(UsageError, match=f"--kinds: {kind} needs data of NLTK"):
        run_stage(EVOLVE_BY_RULES, {}, kinds=kind)
    made = by_rules(seeds(*SEEDS))
    assert not [row for row in made["evolutions"] if kind in (row.main, *row.further)]


def test_an_engine_writes_and_checks() -> None:
    made = by_engine(seeds(*SEEDS), as_script(write))
    asked = made.engines["writer"].requests
    written = [{"messages": each.messages} for each in asked]
    assert len(asked) == len({each.seed for each in asked}) == 2 * len(SEEDS)
    assert sorted(seed_in(body) for body in written if not is_check(body)) == sorted(SEEDS)
    assert [
        (row.writer, row.prompt, row.constraints, row.verdict, row.checks) for row in ordered(made)
    ] == [("writer", f"{seed} Let it rhyme.", ["Rhyme."], "consistent", None) for seed in SEEDS]
    prompts = sum(len(each.messages[0]["content"]) // 4 for each in asked)
    answers = sum(len(text) // 4 for body in written for text in write(body))  # type: ignore[union-attr]
    assert sum(row.prompt_tokens for row in made["evolutions"]) == prompts
    assert sum(row.completion_tokens for row in made["evolutions"]) == answers


def test_how_an_engine_writes_is_told_by_options() -> None:
    made = run_stage(
        EVOLVE_BY_ENGINE, {"seeds": seeds(SEEDS[0])}, as_script(write), write_temperature=0.2
    )
    assert made.engines["writer"].requests[0].sampling.temperature == 0.2


def test_what_an_engine_cannot_write_is_told_by_cause() -> None:
    ill = {
        f"Give me {REFUSED}, please.": "refused",
        f"Show me {OFF_FORMAT} of these now.": "off_format",
        f"Draw {CONTRADICTORY} for him and her.": "contradictory",
    }
    made = by_engine(seeds(*SEEDS, *ill, *LEFT_OUT), as_script(write))
    assert dropped(made) == ill | LEFT_OUT
    bodies = [{"messages": each.messages} for each in made.engines["writer"].requests]
    asked = [seed_in(body) for body in bodies if not is_check(body)]
    assert not set(asked) & set(LEFT_OUT), "filters come before the engine"
    assert [asked.count(seed) for seed in ill] == [3, 3, 1]
    by_cause = {row.dropped: row for row in made["evolutions"]}
    assert len(by_cause["refused"].refused) == 3
    assert by_cause["off_format"].completion_tokens > 0


def test_a_request_that_is_refused_is_a_failure_of_its_seed() -> None:
    def play(request: ChatRequest) -> list[str]:
        if SEEDS[1] in seed_in({"messages": request.messages}):
            raise RequestRefused("content policy")
        return as_script(write)(request)

    made = by_engine(seeds(*SEEDS), play)
    assert [(row.stage, row.key, row.error) for row in made["failures"]] == [
        ("evolve", seed_id(SEEDS[1]), "refused")
    ]
    assert len(made["prompts"]) == len(SEEDS) - 1
