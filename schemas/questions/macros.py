"""Questions with parameters: about one pair or tree, or so many of something."""

from __future__ import annotations

from schemas.methods import listed
from schemas.questions.question import MAKERS, Question

_TREE_OF_ID = r"regexp_extract(id, '^(.*\.t)(\.|$)', 1)"
"""The tree's id in an id of the tree or of what came of it; a variant, too, may be called t."""

MACROS: dict[str, Question] = {
    "pair": Question(
        "a pair side by side, with what was found wrong and how it was mended; by its id",
        f"""
        with {MAKERS},
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
        select p.iteration, p.variant, p.method, p.prompt[-1].content as prompt,
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
        select iteration, variant, method, pair_id, similarity, prompt[-1].content as prompt,
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
