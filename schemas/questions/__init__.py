"""The usual questions about a run, in SQL: views that answer, macros that answer with parameters.

They stand in every connection to a run and in its catalog. docs/sql.md shows each with a result.
Rows count for the variant that made them; where a variant's use of shared rows is meant, the
table `lineage` says whose they are.
"""

from __future__ import annotations

from schemas.questions import benchmarks, cost, judging, methods, pairs, search, taken, teaching
from schemas.questions.macros import MACROS
from schemas.questions.question import Question

VIEWS: dict[str, Question] = {
    **pairs.VIEWS,
    **judging.VIEWS,
    **search.VIEWS,
    **taken.VIEWS,
    **cost.VIEWS,
    **teaching.VIEWS,
    **methods.VIEWS,
    **benchmarks.VIEWS,
}
"""Views by name."""

__all__ = ["MACROS", "VIEWS", "Question"]
