"""The teacher that is a program: true critiques and the smallest repair, where there are checks.

The checker has the last word on every text (`spar_core.checks.strict.follows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from spar_core.checks.strict import follows
from spar_core.constraints.critique import (
    Requirement,
    UnknownKind,
    reflection,
    requirements,
    verification,
)
from spar_core.constraints.repair import repair
from spar_core.conversation import (
    Refinement,
    Vote,
    read_refinement,
    read_vote,
    write_judgement,
    write_refinement,
)
from spar_core.preference import similarity
from spar_core.teaching.closeness import closeness
from spar_core.teaching.lesson import Lesson, Lessons, Source, Taken

NAME = "rules"

Checks = Sequence[Mapping[str, str]]


def lessons(checks: Checks | None, response: str, seed: int, closest: float) -> Lessons:
    """What a program teaches on a response.

    Of a failing one: its judgement, the refinement, and the judgement of that; and the same of a
    near miss, in which one of several requirements is left, and of a look-alike, which has
    something else in the place of what was asked for. Judges that only see answers far off and
    answers all right learn to know a mended one by its looks.

    Args:
        closest: refinements less alike than this are left out.
    """
    made = Lessons()
    if not checks:
        made.taken.append(Taken("judgement", "no_checks"))
        return made
    rng = Random(seed)
    try:
        found = _judged(made, checks, response, "response", rng)
    except UnknownKind as unknown:
        made.taken.append(Taken("judgement", "unknown_check", str(unknown)))
        return made
    if found is None:
        return made
    missed = [each for each in found if not each.met]
    if not missed:
        made.answer = response
        return made
    refined = _refined(made, checks, response, "response", found, rng, closest)
    if refined is None:
        return made
    made.answer = refined
    _judged(made, checks, refined, "refinement", rng)
    known = {response, refined}
    others: tuple[tuple[Source, str | None], ...] = (
        ("near_miss", _near_miss(found, missed, response, rng)),
        ("look_alike", _look_alike(found, missed, response, rng)),
    )
    for source, text in others:
        if not text or text in known or follows(checks, text) is not False:
            continue
        if again := _judged(made, checks, text, source, rng):
            mended = _refined(made, checks, text, source, again, rng, closest)
            if mended and mended not in known:
                _judged(made, checks, mended, "refinement", rng)
            known |= {text, mended or text}
    return made


def _near_miss(
    found: Sequence[Requirement], missed: Sequence[Requirement], response: str, rng: Random
) -> str | None:
    """The response mended but for one requirement."""
    if len(missed) == 1:
        return None
    return repair(found, response, rng, leave=frozenset({rng.choice(missed).kind.id}))


def _look_alike(
    found: Sequence[Requirement], missed: Sequence[Requirement], response: str, rng: Random
) -> str | None:
    """The response mended as another prompt would have it: one requirement with other arguments.

    None where no other arguments are drawn.
    """
    for changed in rng.sample(list(missed), len(missed)):
        drawn = changed.kind.draw(rng, response)
        if drawn != changed.arguments:
            break
    else:
        return None
    asked = [replace(each, arguments=drawn) if each is changed else each for each in found]
    return repair(asked, response, rng)


def _judged(
    made: Lessons, checks: Checks, response: str, source: Source, rng: Random
) -> list[Requirement] | None:
    """What a response has of its requirements, as a lesson; None where it is none."""
    checked = follows(checks, response)
    if checked is None:
        made.taken.append(Taken("judgement", "not_checked"))
        return None
    found = requirements(checks, response, rng)
    passes = all(each.met for each in found)
    if passes is not checked:
        made.taken.append(Taken("judgement", "program_disagrees"))
        return None
    label: Vote = "Yes" if passes else "No"
    critique = write_judgement(verification(found), label)
    if read_vote(critique) != label:  # what it quotes of the response says something else
        made.taken.append(Taken("judgement", "off_format"))
        return None
    made.learnt.append(Lesson(source, response, critique, label, checked=checked))
    return found


def _refined(
    made: Lessons,
    checks: Checks,
    response: str,
    source: Source,
    found: list[Requirement],
    rng: Random,
    closest: float,
) -> str | None:
    """The response mended, as a lesson; None where it cannot be."""
    refined = repair(found, response, rng)
    if refined is None:
        made.taken.append(Taken("refinement", "no_repair"))
        return None
    mended = Refinement(reflection(found), refined)
    alike = similarity(response, refined)
    cause = ""
    if not follows(checks, refined):
        cause = "does_not_pass"
    elif closeness(checks, response, refined) < closest:
        cause = "not_close"
    elif read_refinement(write_refinement(mended)) != mended:
        cause = "off_format"  # a marker stands in it
    if cause:
        made.taken.append(Taken("refinement", cause))
        return None
    critique = made.learnt[-1].critique
    made.learnt.append(
        Lesson(source, response, critique, None, mended, checked=True, similarity=alike)
    )
    return refined
