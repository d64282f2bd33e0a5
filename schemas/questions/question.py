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
                   max(made_by) filter (stage = 'relevance') as scored_by,
                   max(made_by) filter (stage = 'tree_search') as grown_by
            from lineage group by all)"""
"""Of every variant those whose rows it uses."""


def spent(more: str = "") -> str:
    """Return what was spent in each stage by each variant (`cost`), and of that what was spent on
    prompts that a method of some variant did not take (`gone`).

    Args:
        more: a further column of `cost`, which takes its time.
    """
    column = more and f"{more},"
    return f"""spent as (
            select iteration, variant as made_by, 'sample' as stage, prompt_id, prompt_tokens,
                   completion_tokens, null::boolean as solved
            from responses
            union all
            select iteration, variant, 'judge', prompt_id, prompt_tokens, completion_tokens, null
            from judgements
            union all
            select iteration, variant, 'tree_search', prompt_id, prompt_tokens, completion_tokens,
                   solved
            from trees
            union all
            select iteration, variant, 'rate', prompt_id, prompt_tokens, completion_tokens, null
            from ratings
            union all
            select iteration, variant, 'meta_judge', prompt_id, prompt_tokens, completion_tokens,
                   null
            from battles
            union all
            select iteration, variant, 'verifiers', prompt_id, prompt_tokens, completion_tokens,
                   null
            from verifiers
            union all
            select iteration, variant, 'relevance', prompt_id, prompt_tokens, completion_tokens,
                   null
            from relevances),
        cost as (
            select iteration, made_by, stage, {column}
                   count(solved) as trees, count(*) filter (solved) as solved,
                   sum(prompt_tokens)::bigint as prompt_tokens,
                   sum(completion_tokens)::bigint as completion_tokens
            from spent group by all),
        gone as materialized (from prompts_not_taken),
        spent_on_gone as materialized (
            select iteration, made_by, stage, prompt_id, count(solved) as trees,
                   count(*) filter (solved) as solved, sum(prompt_tokens)::bigint as prompt_tokens,
                   sum(completion_tokens)::bigint as completion_tokens
            from spent semi join gone using (iteration, prompt_id) group by all)"""


PROMPTS = "count(distinct prompt_id) as prompts"
"""A further column of `cost`: on how many prompts it was spent."""

LESS = """less as (
            select iteration, variant, method, stage, count(*) as prompts,
                   sum(trees)::bigint as trees, sum(solved)::bigint as solved,
                   sum(prompt_tokens)::bigint as prompt_tokens,
                   sum(completion_tokens)::bigint as completion_tokens
            from gone join lineage using (iteration, variant)
            join spent_on_gone using (iteration, stage, made_by, prompt_id) group by all)"""
"""What of the cost of a stage is no cost of a variant's method, after `spent`."""
