"""Of methods and variants, side by side."""

from __future__ import annotations

from schemas.methods import listed
from schemas.questions.question import Question

_KEPT = """kept as (
            select iteration, variant, method, prompt_id from pairs
            union all
            select iteration, variant, method, prompt_id from sft_actor
            where method <> 'bootstrap')"""
"""What methods made of prompts: a row for each pair or answer to learn."""

VIEWS: dict[str, Question] = {
    "variants": Question(
        "variants and methods side by side: what they give and what it costs",
        f"""
        with made as (
            select iteration, variant, method, count(*) as pairs, avg(similarity) as similarity,
                   avg(chosen_chars - rejected_chars) as chars_longer,
                   avg((chosen_chars > rejected_chars)::int) as share_longer,
                   avg((chosen_checked and not rejected_checked)::int)
                       filter (chosen_checked is not null and rejected_checked is not null)
                       as share_confirmed
            from pairs group by all),
        kept_back as (select iteration, prompt_id from prompts where split <> 'train'),
        spent as (
            select iteration, variant as made_by, 'sample' as stage, prompt_id,
                   null as solved, completion_tokens as tokens from responses
            union all
            select iteration, variant, 'judge', prompt_id, null, completion_tokens
            from judgements
            union all
            select iteration, variant, 'tree_search', prompt_id, solved, completion_tokens
            from trees
            union all
            select iteration, variant, 'rate', prompt_id, null, completion_tokens from ratings
            union all
            select iteration, variant, 'meta_judge', prompt_id, null, completion_tokens
            from battles),
        cost as (
            select iteration, made_by, stage, count(distinct prompt_id) as prompts,
                   count(solved) as trees, count(*) filter (solved) as solved,
                   sum(tokens) as tokens
            from spent anti join kept_back using (iteration, prompt_id) group by all),
        used as (
            select variant = made_by as own, * from lineage
            left join cost using (iteration, stage, made_by)
            where stage in ('sample', 'judge', 'tree_search', 'rate', 'meta_judge')),
        asked as (from (values {listed()}) _ (method, stage, shared))
        select iteration, variant, method,
               max(prompts) filter (stage = 'sample') as prompts,
               max(trees) filter (stage = 'tree_search') as trees,
               max(solved) filter (stage = 'tree_search') as solved,
               coalesce(any_value(pairs), 0) as pairs,
               round(any_value(similarity), 3) as similarity,
               round(any_value(chars_longer), 1) as chars_longer,
               round(any_value(share_longer), 3) as share_longer,
               coalesce(sum(tokens) filter (own), 0)::bigint as completion_tokens,
               coalesce(sum(tokens) filter (not own), 0)::bigint as shared_tokens,
               round(sum(tokens) / any_value(pairs), 0)::bigint as tokens_per_pair,
               round(any_value(share_confirmed), 3) as share_confirmed
        from used left join made using (iteration, variant)
        where method is null or (method, stage) in (select (method, stage) from asked)
        group by iteration, variant, method order by iteration, variant, method""",
    ),
    "methods": Question(
        "methods side by side: prompts, what was asked for them, what they give and how good it is",
        f"""
        with stages as (from (values {listed()}) _ (method, stage, shared)),
        {_KEPT},
        spent as (
            select iteration, variant as made_by, stage,
                   sum(requests + coalesce(replayed, 0))::bigint as requests,
                   sum(prompt_tokens + coalesce(replayed_prompt_tokens, 0))::bigint
                       as prompt_tokens,
                   sum(completion_tokens + coalesce(replayed_completion_tokens, 0))::bigint
                       as completion_tokens
            from usage group by all),
        begun as (
            select distinct iteration, variant, method from kept
            union
            select iteration, made_by, method from spent join stages using (stage)
            where not shared and requests > 0),
        given as (
            select iteration, variant as made_by, 'sample' as stage,
                   count(distinct prompt_id) as prompts
            from responses group by all
            union all
            select iteration, variant, 'backtranslate', count(*) from (
                select iteration, variant from backtranslations
                union all
                select iteration, variant from drops where stage = 'backtranslate')
            group by all),
        cost as (
            select iteration, variant, method, max(prompts) as prompts,
                   sum(requests)::bigint as requests, sum(prompt_tokens)::bigint as prompt_tokens,
                   sum(completion_tokens)::bigint as completion_tokens,
                   sum(completion_tokens) filter (shared)::bigint as shared_tokens
            from begun join stages using (method)
            left join lineage using (iteration, variant, stage)
            left join spent using (iteration, stage, made_by)
            left join given using (iteration, stage, made_by)
            group by all),
        used as (
            select iteration, variant, method, count(distinct prompt_id) as prompts_used
            from kept group by all),
        paired as (
            select iteration, variant, method, count(*) as pairs, avg(similarity) as similarity,
                   avg(chosen_chars - rejected_chars) as chars_longer,
                   avg((chosen_chars > rejected_chars)::int) as share_longer,
                   count(*) filter (chosen_checked is not null and rejected_checked is not null)
                       as checked,
                   count(*) filter (chosen_checked and not rejected_checked) as confirmed
            from pairs group by all),
        learnt as (
            select iteration, variant, method, count(*) as answers,
                   count(checked) as checked_answers,
                   count(*) filter (checked) as passing_answers
            from sft_actor group by all)
        select iteration, variant, method, prompts, coalesce(prompts_used, 0) as prompts_used,
               requests, prompt_tokens, completion_tokens,
               if(requests is null, null, coalesce(shared_tokens, 0)) as shared_tokens,
               coalesce(pairs, 0) as pairs, coalesce(answers, 0) as answers,
               round(completion_tokens / coalesce(pairs, answers), 0)::bigint as tokens_each,
               round(similarity, 3) as similarity, round(chars_longer, 1) as chars_longer,
               round(share_longer, 3) as share_longer, checked, confirmed,
               round(confirmed / nullif(checked, 0), 3) as share_confirmed,
               checked_answers, passing_answers,
               round(passing_answers / nullif(checked_answers, 0), 3) as share_passing
        from cost left join used using (iteration, variant, method)
        left join paired using (iteration, variant, method)
        left join learnt using (iteration, variant, method)
        order by iteration, variant, method""",
    ),
    "method_overlap": Question(
        "how many prompts two methods or variants of an iteration both made something of",
        f"""
        with {_KEPT},
        used as (select distinct iteration, variant, method, prompt_id from kept),
        counted as (select iteration, variant, method, count(*) as prompts from used group by all),
        met as (
            select a.iteration, a.variant, a.method, b.variant as other_variant,
                   b.method as other_method, count(*) as shared
            from used a join used b on a.iteration = b.iteration and a.prompt_id = b.prompt_id
            where (a.method, a.variant) < (b.method, b.variant) group by all)
        select a.iteration, a.variant, a.method, b.variant as other_variant,
               b.method as other_method, a.prompts, b.prompts as other_prompts,
               coalesce(shared, 0) as shared,
               round(coalesce(shared, 0) / (a.prompts + b.prompts - coalesce(shared, 0)), 3)
                   as share_of_both
        from counted a join counted b on a.iteration = b.iteration
            and (a.method, a.variant) < (b.method, b.variant)
        left join met on met.iteration = a.iteration and met.variant = a.variant
            and met.method = a.method and met.other_variant = b.variant
            and met.other_method = b.method
        order by a.iteration, a.method, a.variant, other_method, other_variant""",
    ),
}
