"""Self-instruct: a prompt is written beside each seed, and copies are dropped."""

from __future__ import annotations

import pytest

from spar_core.engine.protocol import ChatRequest
from spar_core.stages.self_instruct import EVOLVE, PROPOSE, STAGES
from spar_core.testing import Made, run_stage, run_stages
from tests.pipelines.seeds import SEEDS
from tests.spar_core.rows import seeds

NAMES = ["otter", "heron", "badger", "lynx", "stork", "weasel", "marten", "osprey"]
MANY = [f"Describe the {one} as a {other} would." for one in NAMES for other in NAMES[:4]]


@pytest.fixture(autouse=True)
def _libraries() -> None:
    for name in ("datasketch", "py3langid"):
        pytest.importorskip(name, reason="the extra `evolve` is not installed")


def one_more(request: ChatRequest) -> str:
    """A task about what the first one that was shown is about; copies it where that is a lynx."""
    first = request.messages[0]["content"].partition("Task 1: ")[2].partition("\n")[0]
    if "the lynx" in first:
        return f"Task 9: {first}"
    return f"Task 9: Write {len(first)} rules of the house for whoever read this: {first}"


@pytest.fixture(scope="module")
def whole() -> Made:
    """Prompts written beside `SEEDS` and `MANY`; for reading only."""
    return run_stages(STAGES, {"seeds": seeds(*SEEDS, *MANY)}, {"writer": one_more})


def test_a_prompt_is_written_beside_each_seed(whole: Made) -> None:
    rows = whole["evolutions"]
    assert sorted(row.seed for row in rows) == sorted([*SEEDS, *MANY])
    kept = {row.prompt_id: row for row in rows if row.dropped is None}
    assert kept.keys() == {row.prompt_id for row in whole["prompts"]}
    assert len(kept) == len(whole["prompts"]) > len(SEEDS)
    for prompt in whole["prompts"]:
        row = kept[prompt.prompt_id]
        assert (prompt.prompt, prompt.source, prompt.checks) == (row.prompt, row.evolution_id, None)
        assert row.writer == "writer"
        assert row.prompt.startswith("Write ") and row.prompt.endswith(row.seed)


def test_copies_of_what_was_shown_are_dropped(whole: Made) -> None:
    copies = [row for row in whole["evolutions"] if "the lynx" in row.seed]
    assert copies
    assert {row.dropped for row in copies} == {"near_duplicate"}


def test_a_fourth_comes_first_and_the_others_see_what_it_wrote(whole: Made) -> None:
    first, others = whole.items["propose"], whole.items["evolve"]
    assert len(first) + len(others) == len(SEEDS) + len(MANY)
    assert 0 < len(first) < len(others)
    shown = [each.messages[0]["content"] for each in whole.engines["writer"].requests]
    assert sum("Task 8: Write" in text for text in shown) > len(shown) / 2
    assert not any(item["written"] for item in first)


def test_each_stage_does_its_own_seeds_and_writes_drafts() -> None:
    given = seeds(*MANY)
    first = run_stage(PROPOSE, {"seeds": given}, one_more)
    tables = {"seeds": given, "drafts": first["drafts"]}
    then = run_stage(EVOLVE, tables, one_more, write_temperature=0.2)
    done = [{row.seed_id for row in made["drafts"]} for made in (first, then)]
    assert not done[0] & done[1]
    assert done[0] | done[1] == {seed.seed_id for seed in given}
    drawn = {each.sampling.temperature for each in then.engines["writer"].requests}
    assert drawn == {0.2}
