"""Criticism by a program: each requirement in turn, what decides it, and whether it is met."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from spar_core.checks.arguments import described
from spar_core.constraints import KINDS
from spar_core.constraints.kind import Kind, said
from spar_core.conversation import Vote, read_vote, write_judgement


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


def critique(
    checks: Sequence[Mapping[str, str]],
    met: Sequence[bool | None],
    response: str,
    rng: Random,
) -> str:
    """A judgement in the wire format, as a judge should have written it.

    Every check is a step: with the place in the response that decides, where a kind of `KINDS`
    stands for the check and finds the same as its checker, else in the checker's own description.

    Args:
        checks: as they stand in the table `prompts`. met: what their checkers say of the response.
    """
    steps = [_step(check, is_met, response, rng) for check, is_met in zip(checks, met, strict=True)]
    text = " ".join(f"{number}. {_capitalised(step)}." for number, step in enumerate(steps, 1))
    label: Vote = "No" if False in met else "Yes"
    written = write_judgement(text, label)
    # What a step quotes of the response may read like a verdict: then nothing is quoted.
    return written if read_vote(written) == label else write_judgement("", label)


def _step(check: Mapping[str, str], is_met: bool | None, response: str, rng: Random) -> str:
    said_of_it = {True: "met", False: "missed", None: "not decided"}[is_met]
    kind, arguments = KINDS.get(check["id"]), json.loads(check["kwargs"])
    if kind is None or is_met is None:
        stated = check["id"] if is_met is None else described(check["id"], arguments)
        return f"{stated.rstrip('.')}: {said_of_it}"
    finding = kind.look(arguments, response)
    name = said(kind.names, arguments, rng)
    evidence = f"{rng.choice(finding.evidence)}, " if finding.met is is_met else ""
    return f"{name}: {evidence}{said_of_it}"


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
