"""The usual questions about a run, in SQL: views that answer, macros that answer with parameters.

They stand in every connection to a run and in its catalog. docs/sql.md shows each with a result.
Rows count for the variant that made them; where a variant's use of shared rows is meant, the
table `lineage` says whose they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.methods import listed


@dataclass(frozen=True, slots=True)
class Question:
    """A view or, with parameters, a table macro; `asks` is what it answers, in a line."""

    asks: str
    sql: str
    parameters: str = ""


_MAKERS = """makers as (
            select iteration, variant,
                   max(made_by) filter (stage = 'sample') as sampled_by,
                   max(made_by) filter (stage = 'judge') as judged_by,
                   max(made_by) filter (stage = 'rate') as rated_by,
                   max(made_by) filter (stage = 'meta_judge') as compared_by,
                   max(made_by) filter (stage = 'verifiers') as written_by,
                   max(made_by) filter (stage = 'tree_search') as grown_by
            from lineage group by all)"""
"""Of every variant those whose rows it uses."""

_KEPT = """kept as (
            select iteration, variant, method, prompt_id from pairs
            union all
            select iteration, variant, method, prompt_id from sft_actor
            where method <> 'bootstrap')"""
"""What methods made of prompts: a row for each pair or answer to learn."""

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
                   hash(prompt) as text
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
        with texts as (
            select iteration, variant, prompt_id, hash(response) as text, count(*) as copies
            from responses group by all),
        counted as (
            select iteration, variant, prompt_id, sum(copies) as responses,
                   count(*) as different
            from texts group by all)
        select iteration, variant, count(*) as prompts,
               count(*) filter (different < responses) as prompts_with_equal_responses,
               sum(responses)::bigint as responses,
               sum(responses - different)::bigint as repeated,
               round(sum(responses - different) / sum(responses), 4) as share
        from counted group by all order by all""",
    ),
    "verdicts": Question(
        "what the judge said of the sampled responses",
        """
        select iteration, variant, verdict, count(*) as responses,
               sum(yes_votes)::bigint as yes_votes, sum(no_votes)::bigint as no_votes,
               sum(unparsed_votes)::bigint as unparsed_votes
        from judgements group by all order by all""",
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
            from nodes where depth > 0)
        select iteration, variant, judged, verdict, count(*) as judgements,
               round(sum(greatest(yes_votes, no_votes)) / nullif(sum(yes_votes + no_votes), 0), 3)
                   as share_with_majority,
               count(*) filter (yes_votes > 0 and no_votes > 0) as split,
               round(avg((yes_votes > 0 and no_votes > 0)::int), 3) as share_split,
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
            select iteration, variant, value, 'node' from nodes where depth > 0)
        select iteration, variant, round(value, 2) as value,
               count(*) filter (judged = 'response') as responses,
               count(*) filter (judged = 'node') as nodes
        from judged group by all order by all""",
    ),
    "solved_by_depth": Question(
        "how deep the chosen nodes lie, and how many of the trees are solved there",
        """
        select iteration, variant, chosen_depth as depth, count(*) as trees,
               count(*) filter (solved) as solved,
               round(count(*) filter (solved) / sum(count(*)) over whole, 3)
                   as share_of_all_trees,
               sum(refinements)::bigint as refinements, sum(malformed)::bigint as malformed
        from trees group by iteration, variant, chosen_depth
        window whole as (partition by iteration, variant) order by all""",
    ),
    "tree_shape": Question(
        "nodes by depth: how many are refined further, into how many, and how many pass",
        """
        with children as (
            select iteration, variant, parent_id as node_id, count(*) as children
            from nodes where parent_id is not null group by all)
        select iteration, variant, depth, count(*) as nodes,
               count(children) as refined_further,
               round(avg(children), 2) as children_of_each,
               round(avg((verdict = 'yes')::int), 3) as share_passed,
               round(avg(value), 3) as value
        from nodes left join children using (iteration, variant, node_id)
        group by all order by all""",
    ),
    "refinements_needed": Question(
        "how many trees are solved with how many refinements",
        """
        select iteration, variant, refinements, count(*) as trees,
               count(*) filter (solved) as solved,
               round(sum(count(*) filter (solved)) over so_far / sum(count(*)) over whole, 3)
                   as share_solved_so_far
        from trees group by iteration, variant, refinements
        window whole as (partition by iteration, variant),
               so_far as (partition by iteration, variant order by refinements)
        order by iteration, variant, refinements""",
    ),
    "refinement_gains": Question(
        "what a refinement does to the value, by the depth it leads to",
        """
        select c.iteration, c.variant, c.depth, count(*) as refinements,
               round(avg((c.value > p.value)::int), 3) as share_better,
               round(avg((c.value = p.value)::int), 3) as share_same,
               round(avg((c.value < p.value)::int), 3) as share_worse,
               round(avg(p.value), 3) as value_before, round(avg(c.value), 3) as value_after
        from nodes c join nodes p on p.iteration = c.iteration and p.variant = c.variant
            and p.node_id = c.parent_id
        group by all order by all""",
    ),
    "unsolved_prompts": Question(
        "prompts with trees of which none is solved, whatever the iteration and the variant",
        """
        with tried as (
            select prompt_id, count(*) as trees, sum(refinements)::bigint as refinements,
                   round(max(chosen_value), 2) as best_value
            from trees group by all having not bool_or(solved)),
        texts as (select prompt_id, any_value(prompt) as prompt from prompts group by all)
        select prompt_id, prompt, trees, refinements, best_value
        from tried join texts using (prompt_id) order by best_value nulls first, prompt_id""",
    ),
    "token_cost": Question(
        "tokens by stage and who spent them, and completion tokens for each pair of a variant",
        """
        with spent as (
            select iteration, variant as made_by, 'sample' as stage,
                   prompt_tokens, completion_tokens from responses
            union all
            select iteration, variant, 'judge', prompt_tokens, completion_tokens from judgements
            union all
            select iteration, variant, 'tree_search', prompt_tokens, completion_tokens
            from trees
            union all
            select iteration, variant, 'rate', prompt_tokens, completion_tokens from ratings
            union all
            select iteration, variant, 'meta_judge', prompt_tokens, completion_tokens
            from battles
            union all
            select iteration, variant, 'verifiers', prompt_tokens, completion_tokens
            from verifiers),
        cost as (
            select iteration, made_by, stage, sum(prompt_tokens)::bigint as prompt_tokens,
                   sum(completion_tokens)::bigint as completion_tokens
            from spent group by all),
        made as (
            select iteration, variant, count(*) as pairs, count(tree_id) > 0 as searched
            from pairs group by all)
        select iteration, variant, stage, made_by,
               if(made_by = variant, prompt_tokens, null) as prompt_tokens,
               if(made_by = variant, completion_tokens, null) as completion_tokens,
               round(completion_tokens / pairs, 0)::bigint as completion_tokens_per_pair
        from lineage join cost using (iteration, stage, made_by)
        left join made using (iteration, variant)
        where made_by = variant or stage <> 'tree_search' or searched
        order by iteration, variant, stage""",
    ),
    "pair_tokens": Question(
        "completion tokens that went into each pair, by stage, whoever spent them",
        f"""
        with {_MAKERS},
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
        asked as (from (values {listed()}) _ (method, stage, shared)),
        stages as (select method, list(stage) as stages from asked group by all),
        told as (
            select iteration, variant, method, pair_id, sample,
                   if('judge' in stages, judge, null) as judge, tree_tokens as tree_search,
                   if('rate' in stages, rate, null) as rate,
                   if('meta_judge' in stages, meta_judge, null) as meta_judge,
                   if('verifiers' in stages, verifiers, null) as verifiers
            from pairs join makers using (iteration, variant)
            join stages using (method)
            left join sampled using (iteration, sampled_by, prompt_id)
            left join judged using (iteration, judged_by, prompt_id)
            left join rated using (iteration, rated_by, prompt_id)
            left join compared using (iteration, compared_by, prompt_id)
            left join written using (iteration, written_by, prompt_id))
        select *, coalesce(sample, 0) + coalesce(judge, 0) + coalesce(tree_search, 0)
               + coalesce(rate, 0) + coalesce(meta_judge, 0) + coalesce(verifiers, 0) as tokens
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
            select iteration, variant, '4 tree', completion_tokens from trees)
        select iteration, variant, item[3:] as item, count(*) as items,
               round(avg(tokens), 0)::bigint as mean, quantile_disc(tokens, 0.5) as p50,
               quantile_disc(tokens, 0.9) as p90, quantile_disc(tokens, 0.99) as p99,
               max(tokens) as longest
        from spent group by iteration, variant, spent.item
        order by iteration, variant, spent.item""",
    ),
    "engine_use": Question(
        "what the engine was asked and how well it was kept busy, by stage",
        """
        with made as (select iteration, variant, count(*) as pairs from pairs group by all)
        select iteration, variant, stage, sum(requests)::bigint as requests,
               sum(retries)::bigint as retries, sum(replayed)::bigint as replayed,
               round(sum(engine_s), 1) as engine_s,
               round(sum(completion_tokens) / nullif(sum(engine_s), 0))::bigint as tokens_per_s,
               round(sum(latency_ms_sum) / nullif(sum(slots_samples), 0))::bigint
                   as mean_latency_ms,
               max(latency_ms_max)::bigint as max_latency_ms,
               round(sum(slots_sum) / nullif(sum(slots_samples), 0), 1) as mean_in_flight,
               round(sum(engine_s) / any_value(pairs), 2) as engine_s_per_pair
        from usage left join made using (iteration, variant)
        group by iteration, variant, stage having sum(requests) + sum(replayed) > 0
        order by iteration, variant, stage""",
    ),
    "failures_by_cause": Question(
        "what could not be done, and why",
        """
        select iteration, variant, stage, error, count(*) as items, any_value(message) as example
        from failures group by all order by all""",
    ),
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
        "where the judge says Yes and a program that checks the constraints says No",
        """
        with sided as (
            select iteration, variant, 'judge' as stage, verdict = 'yes' as judge,
                   checked as program
            from judgements where verdict in ('yes', 'no')
            union all
            select iteration, variant, 'tree_search', verdict = 'yes', checked
            from nodes where depth > 0 and verdict in ('yes', 'no'))
        select iteration, variant, stage, count(*) as checked,
               count(*) filter (judge and program) as both_yes,
               count(*) filter (judge and not program) as judge_yes_check_no,
               count(*) filter (not judge and program) as judge_no_check_yes,
               count(*) filter (not judge and not program) as both_no,
               round(count(*) filter (judge = program) / count(*), 3) as agreement,
               round(count(*) filter (judge and not program)
                   / nullif(count(*) filter (judge), 0), 3) as share_of_yes_denied
        from sided where program is not null group by all order by all""",
    ),
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
    "benchmark_scores": Question(
        "what models came to in benchmarks, of all of each and of its parts, with intervals",
        """
        select iteration, variant, benchmark, metric, part, round(value, 3) as value,
               round(low, 3) as low, round(high, 3) as high, scored, items, decoder, votes, budget,
               round(responses, 1) as responses, round(tokens, 1) as tokens, model, scorer
        from evaluations
        order by benchmark, iteration, variant, decoder, budget, votes, part, metric""",
    ),
    "refinement_bias": Question(
        "how many refinements pass by the refiner's own word, a judge's and a program's",
        """
        with said as (
            select iteration, variant, decoder, votes, budget, metric, value, units
            from evaluations where benchmark = 'refinement' and part = ''),
        sides as (
            select iteration, variant, decoder, votes, budget, metric, unnest(units) as unit
            from said),
        checked as (
            select iteration, variant, decoder, votes, budget, count(*) as checked,
                   avg(s.unit.parts[1].over - p.unit.parts[1].over) as more
            from sides s join sides p using (iteration, variant, decoder, votes, budget)
            where s.metric = 'self' and p.metric = 'program' and s.unit.key = p.unit.key
            group by all)
        select iteration, variant, decoder, votes, budget,
               round(any_value(value) filter (metric = 'self'), 3) as self,
               round(any_value(value) filter (metric = 'judge'), 3) as judge,
               round(any_value(value) filter (metric = 'program'), 3) as program,
               any_value(checked) as checked, round(any_value(more), 3) as self_minus_program
        from said left join checked using (iteration, variant, decoder, votes, budget)
        group by iteration, variant, decoder, votes, budget order by all""",
    ),
}
"""Views by name."""

_TREE_OF_ID = r"regexp_extract(id, '^(.*\.t)(\.|$)', 1)"
"""The tree's id in an id of the tree or of what came of it; a variant, too, may be called t."""

MACROS: dict[str, Question] = {
    "pair": Question(
        "a pair side by side, with what was found wrong and how it was mended; by its id",
        f"""
        with {_MAKERS},
        raters as (select method from (values {listed()}) _ (method, stage, shared)
            where stage = 'rate'),
        made as (
            select *, method in (select method from raters) as is_rated
            from pairs join makers using (iteration, variant) where pair_id = id),
        rated as (
            select iteration, variant as rated_by, response_id,
                   arg_min(critique, number) as critique
            from ratings where score is not null and response_id in (
                select unnest([rejected_response_id, chosen_response_id]) from made)
            group by all),
        grown as (
            select iteration, variant as grown_by, tree_id, node_id, depth, critique, reflection
            from nodes where tree_id = {_TREE_OF_ID}),
        judged as (
            select iteration, variant as judged_by, response_id, critique
            from judgements where response_id in (
                select unnest([rejected_response_id, chosen_response_id]) from made))
        select p.iteration, p.variant, p.method, p.prompt[1].content as prompt,
               p.rejected[1].content as rejected,
               coalesce(r.critique, n.critique, low.critique) as critique,
               c.reflection, p.chosen[1].content as chosen,
               coalesce(c.critique, y.critique, high.critique) as critique_of_chosen, p.similarity,
               p.rejected_value, p.chosen_value, p.depth
        from made p
        left join grown c on c.iteration = p.iteration and c.grown_by = p.grown_by
            and c.node_id = p.chosen_node_id
        left join grown r on r.iteration = p.iteration and r.grown_by = p.grown_by
            and r.tree_id = p.tree_id and r.depth = 0
        left join judged n on n.iteration = p.iteration and n.judged_by = p.judged_by
            and n.response_id = p.rejected_response_id and not p.is_rated
        left join judged y on y.iteration = p.iteration and y.judged_by = p.judged_by
            and y.response_id = p.chosen_response_id and not p.is_rated
        left join rated low on low.iteration = p.iteration and low.rated_by = p.rated_by
            and low.response_id = p.rejected_response_id and p.is_rated
        left join rated high on high.iteration = p.iteration and high.rated_by = p.rated_by
            and high.response_id = p.chosen_response_id and p.is_rated""",
        "id",
    ),
    "tree": Question(
        "a search tree, children below their parents; by the id of the tree, its pair or a node",
        f"""
        with grown as (
            select *, node_id[len(tree_id) + 2:] as node from nodes
            where tree_id = {_TREE_OF_ID})
        select repeat('  ', depth) || node as node, value, yes_votes, no_votes, unparsed_votes,
               "order", response, reflection, critique
        from grown
        order by case when depth > 0 then string_split(grown.node, '.')::int[] else [] end""",
        "id",
    ),
    "pairs_where_similarity": Question(
        "the texts of pairs that are so alike, the least alike first",
        """
        select iteration, variant, method, pair_id, similarity, prompt[1].content as prompt,
               rejected[1].content as rejected, chosen[1].content as chosen
        from pairs where similarity between low and high order by similarity, pair_id""",
        "low, high",
    ),
    "hardest_prompts": Question(
        "prompts whose responses get the fewest Yes votes, those never solved first",
        """
        with judged as (
            select prompt_id, sum(yes_votes) / nullif(sum(yes_votes + no_votes), 0) as yes_share
            from judgements group by all),
        searched as (
            select prompt_id, bool_or(solved) as solved, sum(refinements)::bigint as refinements
            from trees group by all),
        hardest as (
            select prompt_id, solved, round(yes_share, 3) as yes_share, refinements
            from judged join searched using (prompt_id)
            order by solved, yes_share nulls last, refinements desc, prompt_id limit n),
        texts as (
            select prompt_id, any_value(prompt) as prompt from prompts
            where prompt_id in (select prompt_id from hardest) group by all)
        select prompt_id, solved, yes_share, refinements, prompt
        from hardest join texts using (prompt_id)
        order by solved, yes_share nulls last, refinements desc, prompt_id""",
        "n := 10",
    ),
}
"""Table macros by name."""
