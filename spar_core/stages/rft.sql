-- Which samples the refiner is fine-tuned on (the caps are those of spar_core.preference.RFT_CAPS).
--
-- The kinds choose one after another. A sample's judge prompt is a prompt and a response: no two
-- samples have the same one, and a kind passes over those that an earlier kind has kept. What a
-- cap leaves out has claimed nothing. A run of many prompts has millions of candidates, of which a
-- few thousand are kept: until all is chosen a candidate is numbers, `draw` of its node or response
-- and `said` of its judge prompt. The draw decides which of several is kept, and finds it again.
-- A judgement teaches where its votes were split, or where a program gave it; where checks count
-- (`checks_met` is there), none that the program contradicts.
with
kept_tree_refinement as (
    -- A refinement that changed nothing teaches nothing, however its votes fell.
    select 'tree_refinement' as source, min(draw) as draw, said from (
        select md5_number(c.node_id || ':' || $seed) as draw, m.said
        from trees t
        join (select node_id, parent_id, hash(trim(response, e' \t\n\r')) as text from nodes) c
            on c.node_id = t.chosen_node_id
        join (select node_id, hash(prompt_id, response) as said,
                     hash(trim(response, e' \t\n\r')) as text from nodes) m
            on m.node_id = c.parent_id
        where t.solved and c.text <> m.text and t.prompt_id in (select prompt_id from scope))
    group by said order by draw limit {tree_refinement}),

-- Nodes whose votes were split: of each tree one that passed and one that failed.
split_node as materialized (
    select draw, tree, said, passed from (
        select prompt_id, md5_number(node_id || ':' || $seed) as draw,
               md5_number(tree_id || ':' || $seed) as tree, hash(prompt_id, response) as said,
               verdict = 'yes' as passed
        from nodes
        where depth > 0 and verdict in ('yes', 'no')
          and (value > 0 and value < 1 or yes_votes + no_votes = 0)
          and (checks_met is null or coalesce(checked = (verdict = 'yes'), true)))
    where prompt_id in (select prompt_id from scope)),
kept_tree_judgement_yes as (
    select 'tree_judgement' as source, min(draw) as draw, arg_min(said, draw) as said
    from split_node
    where passed and said not in (select said from kept_tree_refinement)
    group by tree order by tree limit {tree_judgement_yes}),
kept_tree_judgement_no as (
    select 'tree_judgement' as source, min(draw) as draw, arg_min(said, draw) as said
    from split_node
    where not passed and said not in (
        select said from kept_tree_refinement
        union all select said from kept_tree_judgement_yes)
    group by tree order by tree desc limit {tree_judgement_no}),
kept_of_trees as materialized (
    from kept_tree_refinement union all from kept_tree_judgement_yes
    union all from kept_tree_judgement_no),

-- Sampled responses whose votes were split: equal ones once.
split_response as materialized (
    select md5_number(response_id || ':' || $seed) as draw, said, verdict = 'yes' as passed
    from judgements
    join (select response_id, hash(prompt_id, response) as said from responses where {whole})
        using (response_id)
    where verdict in ('yes', 'no') and (value > 0 and value < 1 or yes_votes + no_votes = 0)
      and (checks_met is null or coalesce(checked = (verdict = 'yes'), true))
      and prompt_id in (select prompt_id from scope)),
kept_response_judgement_no as (
    select min(draw) as draw, said from split_response
    where not passed and said not in (select said from kept_of_trees)
    group by said order by draw limit {response_judgement_no}),
kept_response_judgement_yes as (
    select min(draw) as draw, said from split_response
    where passed and said not in (
        select said from kept_of_trees union all select said from kept_response_judgement_no)
    group by said order by draw limit {response_judgement_yes}),
kept_of_responses as materialized (
    from kept_response_judgement_no union all from kept_response_judgement_yes),

kept_node as materialized (
    select source, node_id, parent_id
    from kept_of_trees join nodes on draw = md5_number(node_id || ':' || $seed)),
node as materialized (
    from nodes where node_id in (
        select node_id from kept_node union all select parent_id from kept_node)),
of_node as (
    select source, node_id || '.judge' as key, prompt_id, tree_id, node_id, null as response_id,
           response, critique, null as reflection, null as refined, verdict, value,
           list_filter(votes, lambda vote: vote.text = critique)[1].reasoning as reasoning
    from kept_node join node using (node_id) where source = 'tree_judgement'
    union all
    select source, c.node_id || '.refine', c.prompt_id, c.tree_id, c.node_id, null, m.response,
           m.critique, c.reflection, c.response, c.verdict, c.value,
           c.reasoning
    from kept_node k join node c on c.node_id = k.node_id join node m on m.node_id = k.parent_id
    where source = 'tree_refinement'),
kept_response as materialized (
    select response_id from responses
    where md5_number(response_id || ':' || $seed) in (select draw from kept_of_responses)),
response as materialized (
    select response_id, prompt_id, response from responses where response_id in (select response_id from kept_response)),
judgement as materialized (
    from judgements where response_id in (select response_id from kept_response)),
of_response as (
    select 'response_judgement' as source, response_id || '.judge' as key, prompt_id, null as tree_id, null as node_id,
           response_id, response, critique, null as reflection, null as refined, verdict, value,
           list_filter(votes, lambda vote: vote.text = critique)[1].reasoning as reasoning
    from response join judgement using (response_id, prompt_id))
select key, s.source, prompt_id, prompt, earlier_turns, tree_id, node_id, response_id, response, critique,
       reflection, refined, verdict, value, reasoning
from (from of_node union all by name from of_response) s join prompts using (prompt_id)
