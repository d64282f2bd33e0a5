"""Of prompts that were evolved and lessons that a teacher wrote."""

from __future__ import annotations

from schemas.questions.question import Question

VIEWS: dict[str, Question] = {
    "evolution_outcomes": Question(
        "what became of the seeds: how many prompts were kept, and why the others were not",
        """
        with counted as (
            select iteration, variant, writer, coalesce(dropped, 'kept') as outcome,
                   count(*) as evolutions
            from evolutions group by all)
        select iteration, variant, writer, outcome, evolutions,
               round(evolutions / sum(evolutions) over whole, 3) as share
        from counted window whole as (partition by iteration, variant, writer)
        order by iteration, variant, writer, outcome <> 'kept', outcome""",
    ),
    "lesson_counts": Question(
        "what a teacher's lessons became: kept, taken by a filter, or surplus of one verdict",
        """
        with told as (
            select iteration, variant, 'answer' as what, 'kept' as outcome from sft_actor
            where method = 'bootstrap'
            union all
            select iteration, variant, if(task = 'judge', 'judgement', 'refinement'),
                   if(sft_id in (select sft_id from sft_refiner), 'kept', 'surplus')
            from lessons
            union all
            select iteration, variant, what, cause from drops where stage in ('answer', 'teach')),
        counted as (
            select iteration, variant, what, outcome, count(*) as rows from told group by all)
        from counted order by iteration, variant, what, outcome <> 'kept', outcome""",
    ),
    "lesson_kinds": Question(
        "judgements that a teacher wrote and that a refiner learns, by kind of constraint and "
        "verdict",
        """
        with asked as (
            select iteration, prompt_id, kind from (
                select iteration, prompt_id, unnest(checks).id as kind from prompts) group by all),
        judged as (
            select iteration, variant, prompt_id, label,
                   sft_id in (select sft_id from sft_refiner) as is_learnt
            from lessons where task = 'judge')
        select iteration, variant, kind,
               count(*) filter (label = 'Yes') as yes, count(*) filter (label = 'No') as no,
               count(*) filter (label = 'Yes' and is_learnt) as learnt_yes,
               count(*) filter (label = 'No' and is_learnt) as learnt_no
        from judged join asked using (iteration, prompt_id)
        group by all order by iteration, variant, kind""",
    ),
}
