"""The numbers of a report: one query each, over all rows of a run."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from inspection.report.series import Rows, Series
from schemas.prompts import TRAIN
from schemas.table import SPAR

_AGREEMENT = """
    sum(yes_votes * (yes_votes - 1) + no_votes * (no_votes - 1))
        / nullif(sum((yes_votes + no_votes) * (yes_votes + no_votes - 1)), 0)"""
"""The chance that two votes on the same text agree, over all pairs of votes."""

_VOTED = f"""
    count(*) as judged,
    count(*) filter (outcome = 'yes') as passed,
    count(*) filter (yes_votes + no_votes + unparsed_votes > 0) as voted,
    count(*) filter (yes_votes > 0 and no_votes > 0) as split,
    count(*) filter (verdict not in ('yes', 'no')) as undecided,
    sum(unparsed_votes)::bigint as unread,
    sum(yes_votes + no_votes + unparsed_votes)::bigint as votes,
    {_AGREEMENT} as agreement"""

_LEFT = f"""
    made as (
        select iteration, variant, coalesce(method, '{SPAR}') as method from variants),
    left_out as (
        select iteration, variant, prompt_id
        from prompts_not_taken join made using (iteration, variant, method)
        semi join (from prompts where split = '{TRAIN}') using (iteration, prompt_id)
        group by all
        having count(*) = (
            select count(*) from made
            where made.iteration = prompts_not_taken.iteration
              and made.variant = prompts_not_taken.variant))"""
"""The prompts of training that no method of a variant took."""

QUERIES: dict[str, str] = {
    "steps": f"""
        with rounds as (select iteration, variant from lineage where stage = 'sample'),
        {_LEFT},
        counted as (
            select iteration, variant, 'prompts' as what, count(*) as n
            from prompts join rounds using (iteration)
            anti join left_out using (iteration, variant, prompt_id) group by all
            union all select iteration, variant, 'responses', count(*) from responses
                group by all
            union all select iteration, variant, 'trees', count(*) from trees group by all
            union all select iteration, variant, 'solved', count(*) from trees where solved
                group by all
            union all select iteration, variant, 'refinements', sum(refinements) from trees
                group by all
            union all select iteration, variant, 'malformed', sum(malformed) from trees
                group by all
            union all select iteration, variant, 'pairs', count(*) from pairs group by all
            union all select iteration, variant, 'failures', count(*) from failures group by all
            union all select iteration, variant, 'yes', count(*) from judgements
                where verdict = 'yes' group by all
            union all select iteration, variant, 'no', count(*) from judgements
                where verdict = 'no' group by all
            union all select iteration, variant, 'undecided', count(*) from judgements
                where verdict not in ('yes', 'no') group by all)
        pivot (from counted semi join rounds using (iteration, variant))
            on what in ('prompts', 'responses', 'yes', 'no', 'undecided', 'trees',
            'solved', 'refinements', 'malformed', 'pairs', 'failures')
            using coalesce(sum(n), 0)::bigint group by iteration, variant order by all""",
    "variants": f"""
        with read_in as (select iteration, count(*) as prompts from prompts group by all),
        left_out as (
            select iteration, variant, method, count(*) as prompts
            from prompts_not_taken
            semi join (from prompts where split = '{TRAIN}') using (iteration, prompt_id)
            group by all)
        select e.* replace (coalesce(r.prompts - coalesce(n.prompts, 0), 0) as prompts)
        from variants e left join read_in r using (iteration)
        left join left_out n on n.iteration = e.iteration and n.variant = e.variant
            and n.method = coalesce(e.method, '{SPAR}')
        order by e.iteration, e.variant, e.method""",
    "lineage": "from lineage",
    "tokens": "from token_cost",
    "failures": """
        select iteration, variant, stage, error, count(*) as items,
               arg_min(message, key) as example
        from failures group by all order by iteration, variant, items desc, stage, error""",
    "depths": """
        with whole as (select iteration, variant, count(*) as n from trees group by all)
        select iteration, variant, chosen_depth as depth, count(*) as trees,
               count(*) / any_value(n) as share
        from trees join whole using (iteration, variant) where solved
        group by all order by all""",
    "quality": """
        select iteration, variant, method, count(*) as pairs, avg(similarity) as similarity,
               median(similarity) as median_similarity, avg(chosen_value) as chosen_value,
               avg(rejected_value) as rejected_value, avg(depth) as depth,
               avg(chosen_chars) as chosen_chars, avg(rejected_chars) as rejected_chars,
               avg(chosen_chars - rejected_chars) as longer_by,
               count(*) filter (chosen_chars > rejected_chars) / count(*) as longer,
               count(*) filter (chosen_chars < rejected_chars) / count(*) as shorter
        from pairs group by all order by all""",
    "responses_judged": f"""
        select iteration, variant, {_VOTED} from judgements group by all order by all""",
    "refinements_judged": f"""
        select iteration, variant, {_VOTED} from nodes
        where depth > 0 and verdict <> 'unjudged'
        group by all order by all""",
    "judged_length": f"""
        with {_LEFT},
        judged as (
            select iteration, j.variant as made_by, j.prompt_id, verdict,
                   sum(r.completion_tokens) as tokens, count(*) as n
            from judgements j join responses r using (iteration, response_id)
            where verdict in ('yes', 'no') group by all)
        select iteration, variant, verdict, sum(tokens) / sum(n) as tokens
        from (from lineage where stage = 'judge') join judged using (iteration, made_by)
        anti join left_out using (iteration, variant, prompt_id)
        group by all order by all""",
    "equal_responses": """
        with texts as (
            select iteration, variant, prompt_id, count(*) as n,
                   count(distinct hash(response)) as different
            from responses group by all)
        select iteration, variant, sum(n - different)::bigint as equal, sum(n)::bigint as n
        from texts group by all order by all""",
    "equal_refinements": """
        with texts as (
            select iteration, variant, node_id, parent_id, hash(response) as text from nodes)
        select c.iteration, c.variant, count(*) filter (c.text = p.text) as equal, count(*) as n
        from texts c join texts p on p.iteration = c.iteration and p.variant = c.variant
            and p.node_id = c.parent_id
        group by all order by all""",
    "equal_pairs": """
        with texts as (
            select iteration, variant, method, hash(rejected, chosen) as text from pairs),
        seen as (select variant, method, text, count(*) as n from texts group by all)
        select iteration, variant, count(*) filter (seen.n > 1) as equal, count(*) as n
        from texts join seen using (variant, method, text) group by all order by all""",
    "unsolved": """
        with tried as (
            select prompt_id, count(*) as trees, max(chosen_value) as best,
                   sum(refinements)::bigint as refinements,
                   array_to_string(list_sort(list(distinct iteration)), ', ') as iterations
            from trees group by all having not bool_or(solved)),
        named as (select prompt_id, min(prompt[:400]) as prompt from prompts group by all)
        select prompt_id, prompt, iterations, best, refinements,
               (select count(*) from tried) as n
        from tried left join named using (prompt_id)
        order by best desc nulls last, refinements desc, prompt_id limit 100""",
    "similarity": """
        select iteration, variant, method, least(floor(similarity * 40), 39) / 40 as bin,
               count(*) as n
        from pairs where similarity is not null group by all order by all""",
    "chosen_value": """
        select iteration, variant, method, round(chosen_value, 1) as bin, count(*) as n
        from pairs where chosen_value is not null group by all order by all""",
    "yes_share": """
        select iteration, variant, round(value, 1) as bin, count(*) as n
        from judgements where value is not null group by all order by all""",
    "node_yes_share": """
        select iteration, variant, round(value, 1) as bin, count(*) as n
        from nodes where depth > 0 and value is not null group by all order by all""",
    "checked": """
        select iteration, variant, if(stage = 'judge', 'responses', 'refinements') as what,
               both_yes + judge_yes_check_no as said_yes, judge_yes_check_no as refuted
        from judge_bias where said_yes > 0 order by stage, iteration, variant""",
    "evaluations": "select * exclude (units) from evaluations where part = ''",
}
"""By name; each row is of one iteration and variant unless its columns say otherwise."""


def figures(connection: duckdb.DuckDBPyConnection) -> dict[str, Rows]:
    """All numbers of a report, by name; each row says in `series` whose it is."""
    found = {name: rows(connection, query) for name, query in QUERIES.items()}
    found["length"] = _binned(
        connection,
        """select iteration, variant, method, 'chosen' as side, chosen_chars as x from pairs
           union all select iteration, variant, method, 'rejected', rejected_chars from pairs""",
        ("iteration", "variant", "method", "side"),
    )
    found["longer_by"] = _binned(
        connection,
        "select iteration, variant, method, chosen_chars - rejected_chars as x from pairs",
        ("iteration", "variant", "method"),
    )
    for name, table in (("search_tokens", "trees"), ("response_tokens", "responses")):
        found[name] = _binned(
            connection,
            f"select iteration, variant, completion_tokens as x from {table}",
            ("iteration", "variant"),
        )
    series = Series.of(found["variants"])
    for row in (row for some in found.values() for row in some if "iteration" in row):
        row["series"] = series.name(row)
    return found


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> Rows:
    """A query's rows by column name."""
    relation = connection.sql(query)
    columns = relation.columns
    return [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]


def _binned(
    connection: duckdb.DuckDBPyConnection, query: str, by: Sequence[str], bins: int = 40
) -> Rows:
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
        f"""select {", ".join(by)}, {width} as width, count(*) as n,
                   least(greatest(floor(x / {width}), {first}), {last}) * {width} as bin
            from ({query}) where x is not null group by all order by {", ".join(by)}, bin""",
    )


def _round_width(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    step = 1
    while True:
        for round_number in (step, 2 * step, 5 * step):
            if round_number >= width:
                return round_number
        step *= 10
