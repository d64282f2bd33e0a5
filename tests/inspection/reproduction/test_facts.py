"""What is told of the settings, and that odd ones are left out."""

from __future__ import annotations

from typing import Any

import pytest

from inspection.reproduction.facts import Facts, of_settings
from tests.inspection.reproduction.folders import SETTINGS


def test_settings_are_told() -> None:
    found = of_settings({**SETTINGS, "models": {"model": "org/M", "refiner_model": "org/R"}})
    assert found.model == "org/M and org/R"
    assert (found.bootstrap, found.prompts, found.iterations) == (400, 300, 2)
    assert found.about and found.about.startswith("Two cores")
    assert found.comparisons == [*SETTINGS["comparisons"]]  # type: ignore[misc]


def test_no_model_is_the_bundled_one() -> None:
    assert of_settings({"models": {}}).model == "that comes with the project"
    assert of_settings({}).model is None


@pytest.mark.parametrize(
    "settings",
    [
        {"prompts": 5, "models": "m", "comparisons": ["x"], "iterations": "3", "about": 1},
        {"prompts": {"iteration": -1, "bootstrap": True}, "iterations": 10**9, "about": " "},
        {},
    ],
)
def test_settings_of_another_type_are_left_out(settings: dict[str, Any]) -> None:
    assert of_settings(settings) == Facts()


@pytest.mark.parametrize(
    ("options", "word"),
    [({"checks": "report"}, "report"), ({}, "veto"), ({"checks": 5}, "decide"), (None, "decide")],
)
def test_the_programs_word_is_the_jobs_default_unless_it_is_set(options: Any, word: str) -> None:
    assert of_settings({"round": options}).checks == word
