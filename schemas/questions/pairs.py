"""Of pairs: how good, how close, how long, how often the same."""

from __future__ import annotations

from schemas.questions.question import Question

VIEWS: dict[str, Question] = {
    "pair_quality": Question(
        "how good and how close the pairs are, by iteration, variant and method",
        """
        select iteration, variant, method, count(*) as pairs,
               round(avg(similarity), 3) as similarity,
               round(median(similarity), 3) as median_similarity,
               round(avg(chosen_value), 3) as chosen_value,
               round(avg(rejected_value), 3) as rejected_value,
               round(avg(depth), 2) as depth,
               round(avg(chosen_chars), 0)::int as chosen_chars,
               round(avg(rejected_chars), 0)::int as rejected_chars,
               round(avg(chosen_checked::int), 3) as chosen_passes_check,
               round(avg((not rejected_checked)::int), 3) as rejected_fails_check
        from pairs group by all order by all""",
    ),
    "similarity_histogram": Question(
        "how many pairs are how alike, in steps of 0.05",
        """
        with steps as (
            select iteration, variant, method, least(floor(similarity * 20), 19)::int as step
            from pairs)
        select iteration, variant, method, step / 20 as at_least, (step + 1) / 20 as below,
               count(*) as pairs, round(count(*) / sum(count(*)) over whole, 3) as share
        from steps group by iteration, variant, method, step
        window whole as (partition by iteration, variant, method)
        order by iteration, variant, method, step""",
    ),
    "length_bias": Question(
        "whether the chosen side is longer; length is the easiest thing to learn by mistake",
        """
        select iteration, variant, method, count(*) as pairs,
               round(avg(chosen_chars - rejected_chars), 1) as chars_longer,
               median(chosen_chars - rejected_chars) as median_chars_longer,
               round(avg((chosen_chars > rejected_chars)::int), 3) as share_longer,
               round(avg((chosen_chars < rejected_chars)::int), 3) as share_shorter,
               round(avg(chosen_chars) / avg(rejected_chars), 3) as length_ratio,
               nullif(round(corr(chosen_chars, rejected_chars), 3), 'nan') as correlation
        from pairs group by all order by all""",
    ),
    "duplicates": Question(
        "texts that stand more than once, among the prompts or a variant's pairs of a method",
        """
        with texts as (
            select 'prompts' as texts, iteration, null as variant, null as method,
                   hash(prompt, earlier_turns) as text
            from prompts
            union all
            select 'chosen sides', iteration, variant, method, hash(chosen[1].content)
            from pairs
            union all
            select 'rejected sides', iteration, variant, method, hash(rejected[1].content)
            from pairs),
        counted as (
            select texts, iteration, variant, method, text, count(*) as copies
            from texts group by all)
        select texts, iteration, variant, method, sum(copies)::bigint as rows,
               sum(copies - 1)::bigint as repeated,
               round(sum(copies - 1) / sum(copies), 4) as share,
               max(copies) as most_copies
        from counted group by all order by all""",
    ),
    "equal_responses": Question(
        "prompts to which the actor gave the same answer more than once",
        """
        with answers as (
            select iteration, variant, list(hash(response)) as texts
            from responses group by iteration, variant, prompt_id),
        counted as (
            select iteration, variant, len(texts) as responses,
                   len(list_distinct(texts)) as different
            from answers)
        select iteration, variant, count(*) as prompts,
               count(*) filter (different < responses) as prompts_with_equal_responses,
               sum(responses)::bigint as responses,
               sum(responses - different)::bigint as repeated,
               round(sum(responses - different) / sum(responses), 4) as share
        from counted group by all order by all""",
    ),
}
