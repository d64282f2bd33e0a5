"""Every registered stage and method has a test file of its own that runs it on the test kit."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation import stages as evaluating
from pipelines.execution.options import all_stages
from spar_core.methods import METHODS
from spar_core.stage import Stage
from spar_core.stages.decode import DECODER_NAMES

ROOT = Path(__file__).parents[3]

REGISTERED: tuple[Stage[Any], ...] = (
    *all_stages(),
    *(
        stage
        for decoder in DECODER_NAMES
        for family in evaluating.stages(decoder).values()
        for stage in family
    ),
)


def identity(stage: Stage[Any]) -> tuple[object, ...]:
    """What tells one stage from another: some are made anew for each list that they are in."""
    return stage.name, stage.task.__module__, stage.task.__qualname__, bool(stage.roles)


def test_file(module: str) -> Path:
    """Where a module's tests are: the tests mirror the tree."""
    *folders, name = module.split(".")
    return ROOT.joinpath("tests", *folders, f"test_{name}.py")


test_file.__test__ = False  # type: ignore[attr-defined]


def run_there(module: str) -> Iterator[Stage[Any]]:
    """The stages that a test file hands to the kit, by names that the file's module has."""
    file = test_file(module)
    if not file.exists():
        return
    names = vars(importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)))
    for call in ast.walk(ast.parse(file.read_text())):
        is_kit = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if not is_kit or call.func.id not in ("run_stage", "run_stages"):
            continue
        try:
            found = eval(compile(ast.Expression(call.args[0]), str(file), "eval"), dict(names))
        except NameError:  # a name of the function that calls it
            continue
        yield from (found,) if isinstance(found, Stage) else found


@pytest.mark.parametrize("stage", [*{identity(each): each for each in REGISTERED}.values()],
                         ids=lambda stage: f"{stage.task.__module__}.{stage.name}")  # fmt: skip
def test_a_stage_is_run_on_the_kit_by_the_tests_of_its_module(stage: Stage[Any]) -> None:
    module = stage.task.__module__
    there = {identity(each) for each in run_there(module)}
    assert identity(stage) in there, f"{test_file(module)} does not run {stage.name} on the kit"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_run_whole_on_the_kit_by_the_tests_of_its_module(method: str) -> None:
    [*_, last] = METHODS[method]
    modules = {stage.task.__module__ for stage in METHODS[method]}
    own = [name for name in modules if name.startswith("spar_core.methods.")]
    module = own[0] if own else f"spar_core.methods.{method}"
    there = {identity(stage) for stage in run_there(module)}
    assert {identity(stage) for stage in METHODS[method]} <= there, f"{last.name}: {module}"
