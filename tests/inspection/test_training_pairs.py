"""The command of the next training: which pairs of a run it takes.

That the report ends with it and that it works: tests/pipelines/test_next_step.py.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from inspection.training_pairs import training
from schemas.views import connect
from tests import committed


def command(run: Path) -> list[str] | None:
    """Return the arguments of the training that follows a run."""
    with connect(str(run), ("pairs",)) as connection:
        said = training(connection, str(run))
    return None if said is None else shlex.split(said)[3:]


@pytest.mark.parametrize(
    ("told", "iteration", "wanted"),
    [
        ([None, True], 1, []),
        ([True, False], 1, ["--where", "chosen_checked is distinct from false"]),
        ([True, False], 2, ["--where", "iteration = 2 and chosen_checked is distinct from false"]),
        ([False, False], 1, None),
        ([], 1, None),
    ],
)
def test_a_training_leaves_out_pairs_that_a_program_denies(
    tmp_path: Path, told: list[bool | None], iteration: int, wanted: list[str] | None
) -> None:
    run = tmp_path / "run"
    rows = [replace(committed.pair(n), chosen_checked=each) for n, each in enumerate(told)]
    for each in range(1, iteration + 1):
        committed.commit(run, "pairs", rows, iteration=each)
    found = command(run)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    assert found[:-4] == ["--data", str(run), *wanted]
    assert found[-1] == f"{run}/models/actor-{iteration + 1}"


def test_of_several_methods_a_training_takes_the_one_with_most_pairs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for method, count in (("spar", 3), ("self", 2)):
        committed.commit(run, "pairs", [committed.pair(n, method) for n in range(count)])
    found = command(run)
    assert found is not None
    assert found[2:4] == ["--method", "spar"]
