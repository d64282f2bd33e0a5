"""Of what it cost: tokens, the use of engines, what could not be done."""

from __future__ import annotations

from schemas.methods import listed
from schemas.questions.question import MAKERS, Question, spent

VIEWS: dict[str, Question] = {
    "token_cost": Question(
        "tokens by stage and who spent them, and completion tokens for each pair of a variant",
        f"""
        with {spent()},
        asked as (from (values {listed()}) _ (method, stage, shared)),
        made as (
            select iteration, variant, method, stage, count(*) as pairs
            from pairs join asked using (method) group by all),
        rested as (
            select iteration, variant, stage, sum(pairs) as pairs, count(*) as methods
            from made group by all),
        left_by_all as (
            select iteration, variant, stage, prompt_id
            from gone join made using (iteration, variant, method)
            join rested using (iteration, variant, stage)
            group by all having count(*) = any_value(methods)),
        saved as (
            select iteration, variant, stage, sum(completion_tokens) as tokens
            from left_by_all join lineage using (iteration, variant, stage)
            join spent_on_gone using (iteration, stage, made_by, prompt_id) group by all)
        select iteration, variant, stage, made_by,
               if(made_by = variant, prompt_tokens, null) as prompt_tokens,
               if(made_by = variant, completion_tokens, null) as completion_tokens,
               round((completion_tokens - coalesce(tokens, 0)) / pairs, 0)::bigint
                   as completion_tokens_per_pair
        from lineage join cost using (iteration, stage, made_by)
        left join rested using (iteration, variant, stage)
        left join saved using (iteration, variant, stage)
        where made_by = variant or pairs is not null
        order by iteration, variant, stage""",
    ),
    "pair_tokens": Question(
        "completion tokens that went into each pair, by stage, whoever spent them; pairs of one "
        "prompt share them",
        f"""
        with {MAKERS},
        sampled as (
            select iteration, variant as sampled_by, prompt_id,
                   sum(completion_tokens)::bigint as sample
            from responses group by all),
        judged as (
            select iteration, variant as judged_by, prompt_id,
                   sum(completion_tokens)::bigint as judge
            from judgements group by all),
        rated as (
            select iteration, variant as rated_by, prompt_id,
                   sum(completion_tokens)::bigint as rate
            from ratings group by all),
        compared as (
            select iteration, variant as compared_by, prompt_id,
                   sum(completion_tokens)::bigint as meta_judge
            from battles group by all),
        written as (
            select iteration, variant as written_by, prompt_id,
                   sum(completion_tokens)::bigint as verifiers
            from verifiers group by all),
        scored as (
            select iteration, variant as scored_by, prompt_id,
                   sum(completion_tokens)::bigint as relevance
            from relevances group by all),
        asked as (from (values {listed()}) _ (method, stage, shared)),
        stages as (select method, list(stage) as stages from asked group by all),
        paired as (
            select *, count(*) over (partition by iteration, variant, method, prompt_id) as sharing
            from pairs),
        told as (
            select iteration, variant, method, pair_id, sample // sharing as sample,
                   if('judge' in stages, judge // sharing, null) as judge,
                   tree_tokens as tree_search,
                   if('rate' in stages, rate // sharing, null) as rate,
                   if('meta_judge' in stages, meta_judge // sharing, null) as meta_judge,
                   if('verifiers' in stages, verifiers // sharing, null) as verifiers,
                   if('relevance' in stages, relevance // sharing, null) as relevance
            from paired join makers using (iteration, variant)
            join stages using (method)
            left join sampled using (iteration, sampled_by, prompt_id)
            left join judged using (iteration, judged_by, prompt_id)
            left join rated using (iteration, rated_by, prompt_id)
            left join compared using (iteration, compared_by, prompt_id)
            left join written using (iteration, written_by, prompt_id)
            left join scored using (iteration, scored_by, prompt_id))
        select *, coalesce(sample, 0) + coalesce(judge, 0) + coalesce(tree_search, 0)
               + coalesce(rate, 0) + coalesce(meta_judge, 0) + coalesce(verifiers, 0)
               + coalesce(relevance, 0) as tokens
        from told""",
    ),
    "token_percentiles": Question(
        "completion tokens of a response, a judgement, a refinement with its judgement, a tree",
        """
        with spent as (
            select iteration, variant, '1 response' as item, completion_tokens as tokens
            from responses
            union all
            select iteration, variant, '2 judgement', completion_tokens from judgements
            union all
            select iteration, variant, '3 refinement', completion_tokens
            from nodes where depth > 0
            union all
            select iteration, variant, '4 tree', completion_tokens from trees),
        counted as (
            select *, sum(items) over up_to / sum(items) over whole as share
            from (
                select iteration, variant, item, tokens, count(*) as items
                from spent group by all)
            window whole as (partition by iteration, variant, item),
                   up_to as (partition by iteration, variant, item order by tokens))
        select iteration, variant, item[3:] as item, sum(items)::bigint as items,
               round(sum(items * tokens) / sum(items), 0)::bigint as mean,
               min(tokens) filter (share >= 0.5) as p50,
               min(tokens) filter (share >= 0.9) as p90,
               min(tokens) filter (share >= 0.99) as p99, max(tokens) as longest
        from counted group by iteration, variant, counted.item
        order by iteration, variant, counted.item""",
    ),
    "engine_use": Question(
        "what the engine was asked and how well it was kept busy, by stage",
        f"""
        with asked as (from (values {listed()}) _ (method, stage, shared)),
        made as (
            select iteration, variant, stage, count(*) as pairs
            from pairs join asked using (method) group by all)
        select iteration, variant, stage, sum(requests)::bigint as requests,
               sum(retries)::bigint as retries, sum(replayed)::bigint as replayed,
               round(sum(engine_s), 1) as engine_s,
               round(sum(completion_tokens) / nullif(sum(engine_s), 0))::bigint as tokens_per_s,
               round(sum(latency_ms_sum) / nullif(sum(slots_samples), 0))::bigint
                   as mean_latency_ms,
               max(latency_ms_max)::bigint as max_latency_ms,
               round(sum(slots_sum) / nullif(sum(slots_samples), 0), 1) as mean_in_flight,
               round(sum(engine_s) / any_value(pairs), 2) as engine_s_per_pair
        from usage left join made using (iteration, variant, stage)
        group by iteration, variant, stage having sum(requests) + sum(replayed) > 0
        order by iteration, variant, stage""",
    ),
    "failures_by_cause": Question(
        "what could not be done, and why",
        """
        select iteration, variant, stage, error, count(*) as items, any_value(message) as example
        from failures group by all order by all""",
    ),
}
