"""Of judgements: what was said, and how far it agrees with itself."""

from __future__ import annotations

from schemas.questions.question import Question
from schemas.responses import WHOLE

VIEWS: dict[str, Question] = {
    "verdicts": Question(
        "what the judge said of the sampled responses",
        """
        select iteration, variant, verdict, count(*) as responses,
               sum(yes_votes)::bigint as yes_votes, sum(no_votes)::bigint as no_votes,
               sum(unparsed_votes)::bigint as unparsed_votes,
               sum(asked_again)::bigint as asked_again
        from judgements group by all order by all""",
    ),
    "left_out_responses": Question(
        "sampled responses that were cut off or are empty: they are judged by nobody, no side of a "
        "pair and no lesson",
        f"""
        with counted as (
            select iteration, variant,
                   case when {WHOLE} then null when trim(response) = '' then 'empty'
                        else finish_reason end as why,
                   count(*) as responses
            from responses group by all)
        select iteration, variant, why, responses,
               round(responses / sum(responses) over whole, 3) as share
        from counted window whole as (partition by iteration, variant)
        qualify why is not null order by iteration, variant, why""",
    ),
    "rating_scores": Question(
        "how the actor rates its own answers, by score; without one: ratings that cannot be read",
        """
        with counted as (
            select iteration, variant, score, count(*) as ratings,
                   count(distinct response_id) as responses
            from ratings group by all)
        select iteration, variant, score, ratings, responses,
               round(ratings / sum(ratings) over whole, 3) as share
        from counted window whole as (partition by iteration, variant)
        order by iteration, variant, score nulls last""",
    ),
    "battle_outcomes": Question(
        "which of two ratings is found better, by the place it is shown in; null: cannot be read",
        """
        with counted as (
            select iteration, variant, winner, count(*) as battles,
                   count(distinct response_id) as responses
            from battles group by all)
        select iteration, variant, winner, battles, responses,
               round(battles / sum(battles) over whole, 3) as share
        from counted window whole as (partition by iteration, variant)
        order by iteration, variant, winner nulls last""",
    ),
    "vote_agreement": Question(
        "how far the judge agrees with itself: votes that are with the majority, split judgements",
        """
        with judged as (
            select iteration, variant, 'responses' as judged, verdict, yes_votes, no_votes,
                   unparsed_votes
            from judgements
            union all
            select iteration, variant, 'nodes', verdict, yes_votes, no_votes, unparsed_votes
            from nodes where depth > 0 and verdict <> 'unjudged')
        select iteration, variant, judged, verdict, count(*) as judgements,
               round(sum(greatest(yes_votes, no_votes)) / nullif(sum(yes_votes + no_votes), 0), 3)
                   as share_with_majority,
               count(*) filter (yes_votes > 0 and no_votes > 0) as split,
               round(avg((yes_votes > 0 and no_votes > 0)::int) filter (
                   yes_votes + no_votes + unparsed_votes > 0), 3) as share_split,
               round(sum(unparsed_votes) / nullif(sum(yes_votes + no_votes + unparsed_votes), 0), 3)
                   as share_unparsed
        from judged group by all order by iteration, variant, judged desc, verdict""",
    ),
    "judgement_values": Question(
        "how many judgements have which value (share of Yes among the votes)",
        """
        with judged as (
            select iteration, variant, value, 'response' as judged from judgements
            union all
            select iteration, variant, value, 'node' from nodes
            where depth > 0 and (verdict <> 'unjudged' or value is not null))
        select iteration, variant, round(value, 2) as value,
               count(*) filter (judged = 'response') as responses,
               count(*) filter (judged = 'node') as nodes
        from judged group by all order by all""",
    ),
    "verifier_outcomes": Question(
        "what became of the functions that a model wrote to check answers, and why",
        """
        with counted as (
            select iteration, variant, model, coalesce(dropped, 'kept') as outcome,
                   count(*) as functions, count(distinct prompt_id) as prompts
            from verifiers group by all)
        select iteration, variant, model, outcome, functions, prompts,
               round(functions / sum(functions) over whole, 3) as share
        from counted window whole as (partition by iteration, variant, model)
        order by iteration, variant, model, outcome <> 'kept', outcome""",
    ),
    "judge_bias": Question(
        "where the judge says Yes and a program that checks the constraints says No, and how much "
        "of what passed in the end the program denies",
        """
        with sided as (
            select iteration, variant, 'judge' as stage, verdict = 'yes' as judge,
                   checked as program, outcome = 'yes' as passed
            from judgements where verdict in ('yes', 'no') and yes_votes + no_votes > 0
            union all
            select iteration, variant, 'tree_search', verdict = 'yes', checked, outcome = 'yes'
            from nodes where depth > 0 and verdict in ('yes', 'no') and yes_votes + no_votes > 0)
        select iteration, variant, stage, count(*) as checked,
               count(*) filter (judge and program) as both_yes,
               count(*) filter (judge and not program) as judge_yes_check_no,
               count(*) filter (not judge and program) as judge_no_check_yes,
               count(*) filter (not judge and not program) as both_no,
               round(count(*) filter (judge = program) / count(*), 3) as agreement,
               round(count(*) filter (judge and not program)
                   / nullif(count(*) filter (judge), 0), 3) as share_of_yes_denied,
               round(count(*) filter (passed and not program)
                   / nullif(count(*) filter (passed), 0), 3) as share_of_passed_denied
        from sided where program is not null group by all order by all""",
    ),
}
