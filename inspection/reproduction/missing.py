"""What of a reproduction is not there yet."""

from __future__ import annotations

from collections.abc import Sequence

from inspection.reproduction.contract import BASE, BOOTSTRAP, SPAR
from inspection.reproduction.facts import Facts
from inspection.reproduction.measured import Results
from inspection.reproduction.wording import LINES, MEASURES, spoken


def missing(results: Results, facts: Facts, absent: Sequence[str]) -> list[str]:
    """Return what is not there yet, each as a phrase.

    Args:
        absent: titles of the sections that have no figures at all.
    """
    iterations = range(1, (facts.iterations or 1) + 1)
    models = [(BASE, 0), (BOOTSTRAP, 0), *((SPAR, number) for number in iterations)]
    found = []
    lacking = [
        spoken(line, number) for line, number in models if number not in results.iterations(line)
    ]
    if lacking:
        found.append(f"models of which nothing is measured: {', '.join(lacking)}")
    others = [LINES.get(line, line) for line in facts.comparisons if not results.iterations(line)]
    if others:
        found.append(f"comparisons: {', '.join(others)}")
    measures = [name for measure, name in MEASURES.items() if not results.cases(measure)]
    if measures:
        found.append(f"measures of instruction following: {', '.join(measures)}")
    if absent:
        found.append(f"sections: {', '.join(absent)}")
    return found
