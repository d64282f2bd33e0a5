"""Of the prompts that a variant takes of those that its iteration holds."""

from __future__ import annotations

from schemas.methods import listed
from schemas.prompts import TRAIN
from schemas.questions.question import Question
from schemas.responses import WHOLE
from schemas.sft_actor import BOOTSTRAP

VIEWS: dict[str, Question] = {
    "prompts_not_taken": Question(
        "prompts that a method of a variant did not take: kept for another split, or, beside other "
        "variants and methods, after the last one that it was to do",
        f"""
        with asked as (from (values {listed()}) _ (method, stage, shared)),
        kinds as (
            select iteration, variant, null as method from lineage where stage = 'sample'
            union
            select iteration, null, method from pairs
            union
            select iteration, null, method from sft_actor where method <> '{BOOTSTRAP}'),
        several as materialized (
            select iteration from kinds group by all
            having count(distinct variant) > 1 or count(distinct method) > 1),
        places as (
            select iteration, prompt_id, position
            from prompts semi join several using (iteration) where split = '{TRAIN}'),
        did as (
            select iteration, variant as made_by, prompt_id, 'judge' as stage from judgements
            union all
            select iteration, variant, prompt_id, 'rate' from ratings
            union all
            select iteration, variant, prompt_id, 'verifiers' from verifiers
            union all
            select iteration, variant, prompt_id, 'tree_search' from trees
            union all
            select iteration, variant, prompt_id, 'independent' from pairs
            where method = 'independent'),
        reached as materialized (
            select iteration, made_by, stage, max(position) as last
            from did join places using (iteration, prompt_id) group by all),
        beyond as materialized (
            select iteration, prompt_id, position from places
            join (select iteration, min(last) as first from reached group by all)
                using (iteration)
            where position > first),
        cut as (select iteration, response_id from responses where not ({WHOLE})),
        answered as (
            select distinct iteration, variant, prompt_id
            from responses semi join beyond using (iteration, prompt_id)
            where {WHOLE}),
        said as (
            select iteration, variant, prompt_id, bool_or(outcome = 'yes') as passes,
                   bool_or(outcome = 'no') as fails
            from judgements semi join beyond using (iteration, prompt_id)
            anti join cut using (iteration, response_id) group by all),
        could as (
            select iteration, variant as given_by, prompt_id,
                   unnest(['judge', 'rate', 'verifiers']) as stage
            from answered
            union all
            select iteration, variant, prompt_id, 'tree_search' from said where fails
            union all
            select iteration, variant, prompt_id, 'independent' from said where fails and passes),
        failed as (
            select iteration, variant as made_by, stage,
                   if(contains(key, '.'), split_part(key, '.', 2), key) as prompt_id
            from failures),
        links as (
            select l.iteration, l.variant, l.stage, l.made_by, g.made_by as given_by
            from lineage l join (values ('judge', 'sample'), ('rate', 'sample'),
                ('verifiers', 'sample'), ('tree_search', 'judge'), ('independent', 'judge')
            ) _ (stage, given) using (stage)
            join lineage g on g.iteration = l.iteration and g.variant = l.variant
                and g.stage = given),
        ends as (
            select iteration, variant, method, min(position) as before
            from links join reached using (iteration, made_by, stage)
            join could using (iteration, given_by, stage)
            join beyond using (iteration, prompt_id)
            anti join failed using (iteration, made_by, stage, prompt_id)
            join asked using (stage)
            where position > last group by all)
        select iteration, variant, method, prompt_id
        from ends join places using (iteration) where position >= before
        union all
        select iteration, variant, method, prompt_id
        from (select distinct iteration, variant from lineage)
        cross join (select distinct method from asked)
        join (select iteration, prompt_id from prompts where split <> '{TRAIN}')
            using (iteration)""",
    ),
}
