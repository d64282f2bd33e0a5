"""Of trees: where they are solved, and what a refinement does."""

from __future__ import annotations

from schemas.questions.question import Question

VIEWS: dict[str, Question] = {
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
        with refined as (
            select iteration, variant, depth - 1 as depth, count(*) as children,
                   count(distinct hash(parent_id)) as parents
            from nodes where parent_id is not null group by all)
        select iteration, variant, depth, count(*) as nodes,
               coalesce(any_value(parents), 0) as refined_further,
               round(any_value(children / parents), 2) as children_of_each,
               round(avg((outcome = 'yes')::int) filter (outcome <> 'unjudged'), 3)
                   as share_passed,
               round(avg(value), 3) as value
        from nodes left join refined using (iteration, variant, depth)
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
               round(avg(p.value) filter (c.value is not null), 3) as value_before,
               round(avg(c.value) filter (p.value is not null), 3) as value_after
        from nodes c join nodes p on hash(p.iteration, p.variant, p.node_id)
            = hash(c.iteration, c.variant, c.parent_id)
        group by all order by all""",
    ),
    "unsolved_prompts": Question(
        "prompts with trees of which none is solved, whatever the iteration and the variant",
        """
        with tried as (
            select prompt_id, count(*) as trees, sum(refinements)::bigint as refinements,
                   round(max(chosen_value), 2) as best_value
            from trees group by all having not bool_or(solved)),
        texts as (
            select prompt_id, any_value(prompt) as prompt from prompts
            where prompt_id in (select prompt_id from tried) group by all)
        select prompt_id, prompt, trees, refinements, best_value
        from tried join texts using (prompt_id) order by best_value nulls first, prompt_id""",
    ),
}
