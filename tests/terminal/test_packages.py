"""What is said of packages that are not installed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from terminal.packages import extra, missing, not_imported

ROOT = Path(__file__).parents[2]
PARTS = ("pipelines", "spar_core", "evaluation", "inspection", "schemas", "training", "terminal")


def test_a_missing_package_is_named_with_what_needs_it_and_what_to_install() -> None:
    said = missing("the report", "vl_convert", extra("report"))
    assert said == "the report needs the package vl_convert: pip install '.[report]'"
    assert extra("evaluate", "train") == "'.[evaluate,train]'"


def test_a_package_that_is_there_but_broken_says_what_is_wrong() -> None:
    gone = ModuleNotFoundError("No module named 'trl.x'", name="trl.x")
    assert not_imported("dpo", gone, "trl") == "dpo needs the package trl: pip install trl"
    broken = not_imported("dpo", ImportError("undefined symbol"), "trl")
    assert broken.startswith("dpo needs a package that cannot be imported (undefined symbol)")


@pytest.mark.parametrize(
    "command", ["pipelines.refine", "inspection.sql", "inspection.report", "training.dpo"]
)
def test_a_python_without_the_projects_packages_says_so_in_a_line(
    command: str, tmp_path: Path
) -> None:
    """What a new user meets in whose shell the environment is not active."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", command, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: this command needs the package rich: pip install . (`source .venv/bin/activate` "
        "enters the environment that `make demo` makes)\n"
    )


_WORDED = re.compile(r"(?<!&& )pip install|is missing: pip|spar\[")


def test_nobody_words_it_otherwise() -> None:
    """Texts that tell a user to install something come from one function."""
    strange = [
        (str(path.relative_to(ROOT)), node.value)
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        if path != ROOT / "terminal" / "packages.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _WORDED.search(node.value)
    ]
    assert strange == []
