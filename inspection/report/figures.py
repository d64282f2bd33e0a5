"""The numbers of a report: one query each, over all rows of a run."""

from __future__ import annotations

from typing import Any

import duckdb

Rows = list[dict[str, Any]]

_AGREEMENT = """
    sum(yes_votes * (yes_votes - 1) + no_votes * (no_votes - 1))
        / nullif(sum((yes_votes + no_votes) * (yes_votes + no_votes - 1)), 0)"""
"""The chance that two votes on the same text agree, over all pairs of votes."""

_VOTED = f"""
    count(*) as judged,
    count(*) filter (yes_votes > 0 and no_votes > 0) as split,
    count(*) filter (verdict not in ('yes', 'no')) as undecided,
    sum(unparsed_votes)::bigint as unread,
    sum(yes_votes + no_votes + unparsed_votes)::bigint as votes,
    {_AGREEMENT} as agreement"""

QUERIES: dict[str, str] = {
    "steps": """
        with counted as (
            select iteration, 'prompts' as what, count(*) as n from prompts group by all
            union all select iteration, 'responses', count(*) from responses group by all
            union all select iteration, 'trees', count(*) from trees group by all
            union all select iteration, 'solved', count(*) from trees where solved group by all
            union all select iteration, 'refinements', sum(refinements) from trees group by all
            union all select iteration, 'malformed', sum(malformed) from trees group by all
            union all select iteration, 'pairs', count(*) from pairs group by all
            union all select iteration, 'failures', count(*) from failures group by all
            union all select iteration, 'yes', count(*) from judgements where verdict = 'yes'
                group by all
            union all select iteration, 'no', count(*) from judgements where verdict = 'no'
                group by all
            union all select iteration, 'undecided', count(*) from judgements
                where verdict not in ('yes', 'no') group by all)
        pivot counted on what in ('prompts', 'responses', 'yes', 'no', 'undecided', 'trees',
            'solved', 'refinements', 'malformed', 'pairs', 'failures')
            using coalesce(sum(n), 0)::bigint group by iteration order by iteration""",
    "tokens": """
        select * exclude (completion_tokens_per_pair),
               completion_tokens_per_pair as per_pair from token_cost""",
    "failures": """
        select iteration, stage, error, count(*) as items, arg_min(message, key) as example
        from failures group by all order by iteration, items desc, stage, error""",
    "depths": """
        with whole as (select iteration, count(*) as n from trees group by all)
        select iteration, chosen_depth as depth, count(*) as trees,
               count(*) / any_value(n) as share
        from trees join whole using (iteration) where solved group by all order by all""",
    "quality": """
        select iteration, count(*) as pairs, avg(similarity) as similarity,
               median(similarity) as median_similarity, avg(chosen_value) as chosen_value,
               avg(rejected_value) as rejected_value, avg(depth) as depth,
               avg(chosen_chars) as chosen_chars, avg(rejected_chars) as rejected_chars,
               avg(chosen_chars - rejected_chars) as longer_by,
               count(*) filter (chosen_chars > rejected_chars) / count(*) as longer,
               count(*) filter (chosen_chars < rejected_chars) / count(*) as shorter
        from pairs group by all order by all""",
    "responses_judged": f"""
        select iteration, {_VOTED} from judgements group by all order by all""",
    "refinements_judged": f"""
        select iteration, {_VOTED} from nodes where depth > 0 group by all order by all""",
    "judged_length": """
        select iteration, verdict, avg(r.completion_tokens) as tokens
        from judgements join responses r using (iteration, response_id)
        where verdict in ('yes', 'no') group by all order by all""",
    "equal_responses": """
        with texts as (
            select iteration, prompt_id, count(*) as n, count(distinct hash(response)) as different
            from responses group by all)
        select iteration, sum(n - different)::bigint as equal, sum(n)::bigint as n
        from texts group by all order by all""",
    "equal_refinements": """
        with texts as (select iteration, node_id, parent_id, hash(response) as text from nodes)
        select c.iteration, count(*) filter (c.text = p.text) as equal, count(*) as n
        from texts c join texts p on p.iteration = c.iteration and p.node_id = c.parent_id
        group by all order by all""",
    "equal_pairs": """
        with texts as (
            select iteration, hash(rejected, chosen) as text from pairs),
        seen as (select text, count(*) as n from texts group by all)
        select iteration, count(*) filter (seen.n > 1) as equal, count(*) as n
        from texts join seen using (text) group by all order by all""",
    "unsolved": """
        with tried as (
            select prompt_id, count(*) as trees, max(chosen_value) as best,
                   sum(refinements)::bigint as refinements,
                   string_agg(iteration::text, ', ' order by iteration) as iterations
            from trees group by all having not bool_or(solved)),
        named as (select prompt_id, min(prompt[:400]) as prompt from prompts group by all)
        select prompt_id, prompt, iterations, best, refinements,
               (select count(*) from tried) as n
        from tried left join named using (prompt_id)
        order by best desc nulls last, refinements desc, prompt_id limit 100""",
    "similarity": """
        select iteration, least(floor(similarity * 40), 39) / 40 as bin, count(*) as n
        from pairs where similarity is not null group by all order by all""",
    "chosen_value": """
        select iteration, round(chosen_value, 1) as bin, count(*) as n
        from pairs where chosen_value is not null group by all order by all""",
    "yes_share": """
        select iteration, round(value, 1) as bin, count(*) as n
        from judgements where value is not null group by all order by all""",
    "node_yes_share": """
        select iteration, round(value, 1) as bin, count(*) as n
        from nodes where depth > 0 and value is not null group by all order by all""",
    "checked": """
        select iteration, if(stage = 'judge', 'responses', 'refinements') as what,
               both_yes + judge_yes_check_no as said_yes, judge_yes_check_no as refuted
        from judge_bias where said_yes > 0 order by stage, iteration""",
}
"""By name; each row is of one iteration unless its columns say otherwise."""


def figures(connection: duckdb.DuckDBPyConnection) -> dict[str, Rows]:
    """All numbers of a report, by name."""
    found = {name: rows(connection, query) for name, query in QUERIES.items()}
    found["length"] = _binned(
        connection,
        """select 'chosen' as side, chosen_chars as x from pairs
           union all select 'rejected', rejected_chars from pairs""",
        "side",
    )
    found["longer_by"] = _binned(
        connection, "select iteration, chosen_chars - rejected_chars as x from pairs", "iteration"
    )
    found["search_tokens"] = _binned(
        connection, "select iteration, completion_tokens as x from trees", "iteration"
    )
    found["response_tokens"] = _binned(
        connection, "select iteration, completion_tokens as x from responses", "iteration"
    )
    return found


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> Rows:
    """A query's rows by column name."""
    relation = connection.sql(query)
    columns = relation.columns
    return [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]


def _binned(connection: duckdb.DuckDBPyConnection, query: str, by: str, bins: int = 40) -> Rows:
    """A histogram of x of about so many bars of a round width; what is far out is in the last."""
    [(low, high)] = connection.sql(
        f"select quantile_cont(x, 0.005), quantile_cont(x, 0.995) from ({query})"
    ).fetchall()
    if low is None:
        return []
    width = _round_width((high - low) / bins)
    first, last = low // width, max(low // width, (high - 1) // width)
    return rows(
        connection,
        f"""select {by}, least(greatest(floor(x / {width}), {first}), {last}) * {width} as bin,
                   {width} as width, count(*) as n
            from ({query}) where x is not null group by all order by all""",
    )


def _round_width(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    step = 1
    while True:
        for round_number in (step, 2 * step, 5 * step):
            if round_number >= width:
                return round_number
        step *= 10
