"""Settings files: those of the scales, and mistakes in others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.reproduction.settings import SCALES, path_of, read, words
from spar_core.constraints import KINDS
from spar_core.methods import METHODS
from terminal.exits import UsageError


@pytest.mark.parametrize("scale", SCALES)
def test_scales_can_be_read_and_name_what_there_is(scale: str) -> None:
    settings, content = read(path_of(scale))
    assert content["iterations"] == settings.iterations == 3
    taught, unseen = set(settings.kinds.taught), set(settings.kinds.unseen)
    assert taught <= KINDS.keys() and unseen <= KINDS.keys() and not taught & unseen
    assert {how.method for how in settings.comparisons.values()} <= METHODS.keys()
    assert settings.comparisons["independent"].iterations == settings.iterations
    assert settings.prompts.taught and settings.prompts.unseen


def test_options_become_words() -> None:
    assert words({"votes": 3, "stop_votes": True, "judge_once": False, "checks": "veto"}) == [
        *("--votes", "3", "--stop_votes", "--checks", "veto")
    ]
    assert words({"loss_weights": [1.0, 0.1]}) == ["--loss_weights", "1.0", "0.1"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["iterations"], "three", "iterations must be a whole number from 0, not 'three'"),
        (["iterations"], True, "iterations must be a whole number from 0, not True"),
        (["iterations"], -1, "iterations must be a whole number from 0, not -1"),
        (["about"], 3, "about must be a text, not 3"),
        (["kinds", "taught"], "all", "kinds.taught must be a list, not 'all'"),
        (["kinds", "taught"], [1], "kinds.taught[0] must be a text, not 1"),
        (["kinds", "other"], [], "no setting kinds.other; there are taught, unseen"),
        (["rates", "gpu_hour"], "much", "rates.gpu_hour must be a number, not 'much'"),
        (["round"], ["--votes"], "round must be a mapping, not ['--votes']"),
        (["comparisons", "greedy"], 1, "comparisons.greedy must be a mapping, not 1"),
        (["comparisons", "greedy"], {"rounds": 1}, "no setting comparisons.greedy.rounds"),
        (["general"], {"mmlu": "all"}, "general.mmlu must be a whole number from 0"),
        (["model"], {}, "no setting model; there are about"),
        (["rates"], None, "rates must be a mapping, not None"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, place: list[str], value: Any, said: str
) -> None:
    content = yaml.safe_load(path_of("cpu").read_text())
    at = content
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "is no YAML"),
        ("- a", "it must be a mapping, not ['a']"),
        ("about: x", "engine is missing"),
        ("!!python/object/apply:os.system [ls]", "is no YAML"),
        (None, "cannot read"),
    ],
)
def test_what_is_no_settings_file_is_one_line(
    tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError) as caught:
        read(file)
    assert said in str(caught.value) and "\n" not in str(caught.value)
