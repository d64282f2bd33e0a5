"""Claims bind from the first committed item on; equal settings share rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pytest

from schemas.failures import Failure
from schemas.names import VARIANT
from spar_core.dataset import Dataset, Settled
from spar_core.variants import (
    SettingsDiffer,
    begun_with,
    claim,
    find,
    flat,
    hold,
    made_by,
    with_inputs,
)
from terminal.exits import InputError

JUDGE = {"seed": 0, "judge.votes": 5, "refiner.model": "m", "judge.sampling.max_tokens": 64}


@pytest.fixture(params=["local", "memory"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dataset]:
    if request.param == "local":
        yield Dataset(str(tmp_path / "run"), 4)
        return
    name = f"/{uuid.uuid4().hex}"
    yield Dataset(f"memory:/{name}", 4)
    fs = fsspec.filesystem("memory")
    if fs.exists(name):
        fs.rm(name, recursive=True)


def begin(dataset: Dataset, stage: str, settings: Mapping[str, Any], variant: str = "main") -> str:
    """Claim a stage and commit an item of it where it is the variant's own."""
    maker = find(dataset, stage, variant, settings)
    claim(dataset, stage, maker, maker, settings)
    if maker != variant:
        claim(dataset, stage, variant, maker, settings)
    else:
        dataset.commit(stage, "b0", [Settled("k", {})], variant=variant)
    return maker


def test_a_claim_without_a_committed_item_is_replaced(dataset: Dataset) -> None:
    claim(dataset, "judge", "main", "main", JUDGE)
    other = JUDGE | {"refiner.model": "right"}
    assert find(dataset, "judge", "main", other) == "main"
    claim(dataset, "judge", "main", "main", other)
    dataset.commit("judge", "b0", [Settled("k", {})])
    assert find(dataset, "judge", "main", other) == "main"
    with pytest.raises(SettingsDiffer, match=r"refiner.model: 'right' -> 'm'"):
        find(dataset, "judge", "main", JUDGE)


def test_failures_to_be_tried_again_bind_nothing(dataset: Dataset) -> None:
    claim(dataset, "judge", "main", "main", JUDGE)
    row = Failure("judge", "k", "refused", "", 1, "")
    dataset.commit("judge", "b0", [Settled("k", {"failures": [row]}, retry=True)])
    assert find(dataset, "judge", "main", JUDGE | {"seed": 1}) == "main"


def test_other_settings_are_named_with_both_values(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE | {"old": "gone"})
    with pytest.raises(SettingsDiffer) as caught:
        find(dataset, "judge", "main", JUDGE | {"seed": 2, "new": 7.5})
    said = str(caught.value)
    assert "seed: 0 -> 2" in said and "old: 'gone'" in said and "7.5" in said
    assert "votes" not in said
    assert "judge" in said and "iteration 4" in said and dataset.run in said


def test_other_texts_for_models_are_told_as_versions(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE | {"templates": "a1b2"})
    told = r"templates: version a1b2 -> version c3d4 of the texts that models are sent"
    with pytest.raises(SettingsDiffer, match=told):
        find(dataset, "judge", "main", JUDGE | {"templates": "c3d4"})


def test_limits_may_change_and_are_written_down(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE)
    longer = JUDGE | {"judge.sampling.max_tokens": 128}
    assert begin(dataset, "judge", longer) == "main"
    with pytest.raises(SettingsDiffer, match=r"seed: 0 -> 1"):
        find(dataset, "judge", "main", longer | {"seed": 1})


LATER = {
    "actor.arguments": "--quantization fp8",
    "actor.chat": "c1",
    "judge.wording": "w1",
    "sift.texts": "t1",
    "wording": "w2",
    "wording.followbench": "w3",
}


def test_what_a_claim_did_not_say_yet_is_not_compared_and_binds_from_then_on(
    dataset: Dataset,
) -> None:
    begin(dataset, "judge", JUDGE)
    assert find(dataset, "judge", "main", JUDGE | LATER) == "main"
    assert begin(dataset, "judge", JUDGE | LATER, "dfs") == "main", "rows are shared as before"
    for name in LATER:
        with pytest.raises(SettingsDiffer, match=f"{name}: .* -> 'other'"):
            find(dataset, "judge", "main", JUDGE | LATER | {name: "other"})
        with pytest.raises(SettingsDiffer, match=f"{name}: .* -> None"):
            find(dataset, "judge", "main", {n: v for n, v in (JUDGE | LATER).items() if n != name})


def test_what_a_claim_did_not_say_yet_hides_no_other_difference(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE)
    with pytest.raises(SettingsDiffer, match=r"\(judge.votes: 5 -> 3\)"):
        find(dataset, "judge", "main", JUDGE | LATER | {"judge.votes": 3})
    with pytest.raises(SettingsDiffer, match=r"\(new: None -> 1\)"):
        find(dataset, "judge", "main", JUDGE | LATER | {"new": 1})
    hold(dataset, "iterate", JUDGE)
    hold(dataset, "iterate", JUDGE | LATER)
    with pytest.raises(SettingsDiffer, match=r"actor\.arguments"):
        hold(dataset, "iterate", JUDGE | LATER | {"actor.arguments": ""})


CHECKS = {"judge.checks": "report", "judge.ask_again": 0}


def test_an_older_claim_goes_on_as_it_was_and_is_known_for_old(dataset: Dataset) -> None:
    claim(dataset, "judge", "main", "main", JUDGE)
    dataset.commit("judge", "b0", [Settled("k", {})])
    assert find(dataset, "judge", "main", JUDGE | CHECKS) == "main"
    claim(dataset, "judge", "main", "main", JUDGE | CHECKS)
    for setting, before in (("judge.checks", "report"), ("judge.ask_again", 0)):
        assert begun_with(dataset, ["judge"], "main", setting) == before
        assert begun_with(dataset, ["judge"], "other", setting) == before
        later = Dataset(dataset.run, dataset.iteration + 1)
        assert begun_with(later, ["judge"], "main", setting) == before, (
            "as the run of earlier times"
        )
    with pytest.raises(SettingsDiffer, match=r"judge.checks: 'report' -> 'veto'"):
        find(dataset, "judge", "main", JUDGE | CHECKS | {"judge.checks": "veto"})
    nested = {"teach.judge.votes": 5}
    claim(dataset, "teach", "main", "main", nested)
    dataset.commit("teach", "b0", [Settled("k", {})])
    more = nested | {"teach.judge.checks": "report", "teach.judge.ask_again": 0}
    assert find(dataset, "teach", "main", more) == "main"


def test_what_is_given_is_of_its_iteration_alone(dataset: Dataset) -> None:
    claim(dataset, "judge", "main", "main", JUDGE | CHECKS)
    assert begun_with(dataset, ["judge"], "main", "judge.checks") is None, "it is not begun"
    dataset.commit("judge", "b0", [Settled("k", {})])
    assert begun_with(dataset, ["judge"], "main", "judge.checks") == "report"
    later = Dataset(dataset.run, dataset.iteration + 1)
    assert begun_with(later, ["judge"], "main", "judge.checks") is None


def test_a_greedy_answer_tells_nothing_of_how_others_search(dataset: Dataset) -> None:
    greedy = {"search.budget": 1, "search.strategy": "greedy"}
    claim(dataset, "decode", "main", "main", greedy)
    dataset.commit("decode", "b0", [Settled("k", {})])
    assert begun_with(dataset, ["decode"], "main", "search.counts_malformed") is None


def test_the_order_of_settings_and_tuples_mean_nothing(dataset: Dataset) -> None:
    settings = JUDGE | {"votes": (5, 3)}
    begin(dataset, "judge", settings)
    assert find(dataset, "judge", "main", dict(reversed(settings.items()))) == "main"


def test_equal_settings_share_rows_and_others_do_not(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE)
    assert begin(dataset, "judge", JUDGE, "dfs") == "main"
    three = JUDGE | {"judge.votes": 3}
    assert begin(dataset, "judge", three, "votes3") == "votes3"
    assert begin(dataset, "judge", three, "narrow") == "votes3"
    assert [made_by(dataset, "judge", e) for e in ("main", "dfs", "votes3", "narrow", "new")] == [
        "main",
        "main",
        "votes3",
        "votes3",
        "main",
    ]


def test_inputs_of_others_make_rows_ones_own(dataset: Dataset) -> None:
    trees = {"search.branch": 3}
    begin(dataset, "tree_search", trees)
    assert with_inputs(trees, {"judge": "main"}) == trees
    of_three = with_inputs(trees, {"judge": "votes3"})
    assert begin(dataset, "tree_search", of_three, "votes3") == "votes3"
    assert begin(dataset, "tree_search", trees, "dfs") == "main"
    assert begin(dataset, "tree_search", of_three, "narrow") == "votes3"


def test_an_variant_with_rows_keeps_what_it_uses(dataset: Dataset) -> None:
    begin(dataset, "judge", JUDGE)
    begin(dataset, "judge", JUDGE, "dfs")
    seven = JUDGE | {"judge.votes": 7}
    assert find(dataset, "judge", "dfs", seven) == "dfs", "nothing was made of main's rows yet"
    begin(dataset, "tree_search", {"search.strategy": "dfs"}, "dfs")
    with pytest.raises(SettingsDiffer, match=r"variant dfs.*judge.votes: 5 -> 7"):
        find(dataset, "judge", "dfs", seven)


def test_what_is_held_binds_at_once(dataset: Dataset) -> None:
    hold(dataset, "iterate", {"seed": 1})
    hold(dataset, "iterate", {"seed": 1})
    with pytest.raises(SettingsDiffer, match="seed: 1 -> 2"):
        hold(dataset, "iterate", {"seed": 2})


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "../x", "a@b", "-a", "x" * 32, "a.b"])
def test_names_that_are_none(name: str) -> None:
    assert not VARIANT.fullmatch(name)


def test_nested_settings_get_dotted_names() -> None:
    assert flat({"a": {"b": 1, "c": None, "d": {"e": (1, 2)}}, "f": "x"}) == {
        "a.b": 1,
        "a.d.e": [1, 2],
        "f": "x",
    }


@pytest.mark.parametrize("name", ["../other", "", "A", ".", 3, None, "a/b"])
@pytest.mark.parametrize("setting", ["as", "from.sample"])
def test_claim_that_names_no_variant_is_refused(
    dataset: Dataset, setting: str, name: object
) -> None:
    claim(dataset, "judge", "dfs", "dfs", JUDGE)
    path = f"{dataset.manifest}/judge@dfs.settings"
    dataset.fs.pipe_file(path, json.dumps({**JUDGE, setting: name}).encode())
    with pytest.raises(InputError, match=r"judge@dfs\.settings names the variant"):
        made_by(dataset, "judge", "dfs")
