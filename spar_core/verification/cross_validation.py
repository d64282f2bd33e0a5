"""Cross-validation: functions and test cases of several answers are held against one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.verifiers import Case
from spar_core.verification.trial import Trial


def pooled(cases: Iterable[Case]) -> list[Case]:
    """The cases of all functions, equal ones once."""
    return list(dict.fromkeys(cases))


def agreed(cases: Sequence[Case], trials: Iterable[Trial]) -> list[int]:
    """The places of the tests: cases of which more than half of the functions say what is expected.

    Args:
        trials: of the functions on these cases; those that do not run have no say.
    """
    said = [trial.answers for trial in trials if trial.outcome == "ran"]
    return [
        place
        for place, case in enumerate(cases)
        if 2 * sum(answers[place] is case.expected for answers in said) > len(said)
    ]


def passed(cases: Sequence[Case], tests: Iterable[int], trial: Trial) -> int:
    """How many of the tests a function passes."""
    return sum(trial.answers[place] is cases[place].expected for place in tests)
