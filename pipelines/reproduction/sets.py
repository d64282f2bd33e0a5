"""Files of prompts that a reproduction evaluates on, and those that comparisons are given."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.views import connect
from terminal.exits import InputError

VALIDATION, VALIDATION_UNSEEN = "validation", "validation_unseen"
SETS = (VALIDATION, "taught", "unseen", VALIDATION_UNSEEN)
"""Sets of prompts that nothing is trained on. Settings are chosen on `validation` (taught kinds of
constraints) and `validation_unseen` (kinds held out), figures are of the others. A third of the
plain instructions is for validation: none of it is in the other sets, which share theirs."""

_EVOLVED = """
    select p.prompt, p.checks, p.checks_complete
    from prompts p join evolutions e using (iteration, prompt_id)
    where (hash(e.seed_id) % 3 = 0) = $is_validation
    order by p.position limit $most
"""
_OF_ITERATIONS = """
    select prompt, checks, checks_complete from prompts
    where iteration between $first and $last order by iteration, position
"""


def write_set(run: Path, name: str, most: int, file: Path) -> None:
    """Write the prompts of a set that were evolved in a run.

    Raises:
        InputError: too few of them were.
    """
    with connect(str(run), ("prompts", "evolutions")) as connection:
        bound = {"is_validation": name in (VALIDATION, VALIDATION_UNSEEN), "most": most}
        rows = connection.execute(_EVOLVED, bound).fetchall()
    if len(rows) < most:
        raise InputError(
            f"{len(rows)} prompts of the set {name} could be evolved, {most} are wanted: give more "
            "instructions that are held out, or ask for fewer prompts"
        )
    _write(rows, file)


def write_iterations(run: Path, first: int, last: int, file: Path) -> None:
    """Write the prompts of some iterations of a run."""
    with connect(str(run), ("prompts",)) as connection:
        _write(connection.execute(_OF_ITERATIONS, {"first": first, "last": last}).fetchall(), file)


def _write(rows: Sequence[tuple[Any, ...]], file: Path) -> None:
    """Write prompts as JSON lines, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.tmp")
    lines = [
        json.dumps(
            {
                "prompt": prompt,
                "checks": [_check(check) for check in checks or ()],
                "checks_complete": complete,
            }
        )
        for prompt, checks, complete in rows
    ]
    scratch.write_text("".join(f"{line}\n" for line in lines))
    os.replace(scratch, file)


def _check(check: dict[str, Any]) -> dict[str, Any]:
    return {"id": check["id"], "kwargs": json.loads(check["kwargs"] or "{}")}
