"""Of methods and variants, side by side."""

from __future__ import annotations

from schemas.methods import listed
from schemas.questions.question import LESS, PROMPTS, Question, spent
from schemas.table import SPAR

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
        {spent(PROMPTS)},
        {LESS},
        asked as (from (values {listed()}) _ (method, stage, shared)),
        known as (
            select iteration, variant, method from made
            union
            select iteration, variant, '{SPAR}' from trees semi join made using (iteration, variant)
            union
            select iteration, variant, null from lineage
            anti join made using (iteration, variant)),
        used as (
            select k.iteration, k.variant, k.method, g.stage, g.made_by = k.variant as own,
                   c.prompts - coalesce(l.prompts, 0) as prompts,
                   c.trees - coalesce(l.trees, 0) as trees,
                   c.solved - coalesce(l.solved, 0) as solved,
                   c.completion_tokens - coalesce(l.completion_tokens, 0) as tokens
            from known k
            join lineage g on g.iteration = k.iteration and g.variant = k.variant
            left join cost c on c.iteration = g.iteration and c.stage = g.stage
                and c.made_by = g.made_by
            left join less l on l.iteration = k.iteration and l.variant = k.variant
                and l.method = coalesce(k.method, '{SPAR}') and l.stage = g.stage
            where g.stage in
                ('sample', 'judge', 'tree_search', 'rate', 'meta_judge', 'verifiers',
                 'relevance')
              and (k.method is null or (k.method, g.stage) in (select (method, stage) from asked)))
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
        from used left join made using (iteration, variant, method)
        group by iteration, variant, method order by iteration, variant, method""",
    ),
    "methods": Question(
        "methods side by side: prompts, what was asked for them, what they give and how good it is",
        f"""
        with stages as (from (values {listed()}) _ (method, stage, shared)),
        {_KEPT},
        spent_on as (
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
            select iteration, made_by, method from spent_on join stages using (stage)
            where not shared and requests > 0),
        {spent(PROMPTS)},
        {LESS},
        texts as (
            select iteration, variant as made_by, 'backtranslate' as stage, count(*) as prompts
            from (
                select iteration, variant from backtranslations
                union all
                select iteration, variant from drops where stage = 'backtranslate')
            group by all),
        used_of as (
            select b.iteration, b.variant, b.method, s.stage, s.shared, l.made_by
            from begun b join stages s using (method)
            left join lineage l using (iteration, variant, stage)),
        borne_of as (
            select iteration, variant, method, stage,
                   c.prompts - coalesce(l.prompts, 0) as prompts,
                   1 - coalesce(l.prompts, 0) / c.prompts as of_requests,
                   1 - coalesce(l.prompt_tokens / nullif(c.prompt_tokens, 0), 0) as of_read,
                   1 - coalesce(l.completion_tokens / nullif(c.completion_tokens, 0), 0)
                       as of_written
            from used_of join cost c using (iteration, stage, made_by)
            left join less l using (iteration, variant, method, stage)),
        borne as (
            select iteration, variant, method, shared,
                   coalesce(if(stage = 'sample', h.prompts, null), t.prompts) as prompts,
                   requests * coalesce(of_requests, 1) as requests,
                   prompt_tokens * coalesce(of_read, 1) as prompt_tokens,
                   completion_tokens * coalesce(of_written, 1) as completion_tokens
            from used_of left join spent_on using (iteration, stage, made_by)
            left join borne_of h using (iteration, variant, method, stage)
            left join texts t using (iteration, stage, made_by)),
        whole as (
            select iteration, variant, method, max(prompts) as prompts,
                   round(sum(requests))::bigint as requests,
                   round(sum(prompt_tokens))::bigint as prompt_tokens,
                   round(sum(completion_tokens))::bigint as completion_tokens,
                   round(sum(completion_tokens) filter (shared))::bigint as shared_tokens
            from borne group by all),
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
        from whole left join used using (iteration, variant, method)
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
