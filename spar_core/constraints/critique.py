"""Criticism by a program: each requirement in turn, what decides it, and whether it is met."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from spar_core.constraints import KINDS
from spar_core.constraints.kind import Kind, said


@dataclass(frozen=True, slots=True)
class Requirement:
    """A check of a prompt, and what an answer has of it.

    name: as the critique calls it.
    """

    kind: Kind
    arguments: Mapping[str, Any]
    name: str
    evidence: str
    met: bool


class UnknownKind(Exception):
    """A check that no kind of `KINDS` stands for: nothing can be said of it."""


def requirements(
    checks: Sequence[Mapping[str, str]], response: str, rng: Random
) -> list[Requirement]:
    """What the checks of a prompt ask for, and what a response has of each.

    Args:
        checks: as they stand in the table `prompts`.

    Raises:
        UnknownKind: of one of them nothing can be said.
    """
    found = []
    for check in checks:
        kind = KINDS.get(check["id"])
        if kind is None:
            raise UnknownKind(check["id"])
        arguments = json.loads(check["kwargs"])
        finding = kind.look(arguments, response)
        name = said(kind.names, arguments, rng)
        found.append(Requirement(kind, arguments, name, rng.choice(finding.evidence), finding.met))
    return found


def verification(found: Sequence[Requirement]) -> str:
    """A critique's steps, a requirement each."""
    return " ".join(
        f"{number}. {_capitalised(each.name)}: {each.evidence}, {'met' if each.met else 'missed'}."
        for number, each in enumerate(found, 1)
    )


def reflection(found: Sequence[Requirement]) -> str:
    """What has to be mended, by name."""
    return f"Mend: {'; '.join(each.name for each in found if not each.met)}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
