"""What a question is, and SQL that several of them begin with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A view or, with parameters, a table macro; `asks` is what it answers, in a line."""

    asks: str
    sql: str
    parameters: str = ""


MAKERS = """makers as (
            select iteration, variant,
                   max(made_by) filter (stage = 'sample') as sampled_by,
                   max(made_by) filter (stage = 'judge') as judged_by,
                   max(made_by) filter (stage = 'rate') as rated_by,
                   max(made_by) filter (stage = 'meta_judge') as compared_by,
                   max(made_by) filter (stage = 'verifiers') as written_by,
                   max(made_by) filter (stage = 'tree_search') as grown_by
            from lineage group by all)"""
"""Of every variant those whose rows it uses."""
