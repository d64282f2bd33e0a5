-- Which samples the refiner is fine-tuned on (the caps are those of spar_core.preference.RFT_CAPS).
--
-- The kinds choose one after another. A sample's judge prompt is a prompt and a response: no two
-- samples have the same one, and a kind passes over those that an earlier kind has kept. What a
-- cap leaves out has claimed nothing.
with
tree_refinement as (
    select c.node_id || '.refine' as key, c.prompt_id, c.tree_id, c.node_id,
           null::varchar as response_id, m.response, m.critique, c.reflection,
           c.response as refined, c.verdict, c.value
    from trees t
    join nodes c on c.node_id = t.chosen_node_id
    join nodes m on m.node_id = c.parent_id
    where t.solved and t.prompt_id in (select prompt_id from scope)),
kept_tree_refinement as (
    select 'tree_refinement' as source, * from (
        select * from tree_refinement
        qualify row_number() over (
            partition by prompt_id, md5(response) order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_refinement}),

-- Nodes whose votes were split: of each tree one that passed and one that failed.
split_node as (
    select node_id || '.judge' as key, prompt_id, tree_id, node_id, null::varchar as response_id,
           response, critique, null::varchar as reflection, null::varchar as refined, verdict, value
    from nodes
    where depth > 0 and value > 0 and value < 1 and verdict in ('yes', 'no')
      and prompt_id in (select prompt_id from scope)),
kept_tree_judgement_yes as (
    select 'tree_judgement' as source, * from (
        select * from split_node where verdict = 'yes'
          and (prompt_id, md5(response)) not in (
              select prompt_id, md5(response) from kept_tree_refinement)
        qualify row_number() over (partition by tree_id order by md5(node_id || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_judgement_yes}),
kept_tree_judgement_no as (
    select 'tree_judgement' as source, * from (
        select * from split_node where verdict = 'no'
          and (prompt_id, md5(response)) not in (
              select prompt_id, md5(response) from kept_tree_refinement
              union all select prompt_id, md5(response) from kept_tree_judgement_yes)
        qualify row_number() over (partition by tree_id order by md5(node_id || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_judgement_no}),

-- Sampled responses whose votes were split: equal ones once.
split_response as (
    select response_id || '.judge' as key, prompt_id, null::varchar as tree_id,
           null::varchar as node_id, response_id, response, critique, null::varchar as reflection,
           null::varchar as refined, verdict, value
    from judgements join responses using (response_id, prompt_id)
    where value > 0 and value < 1 and verdict in ('yes', 'no')
      and prompt_id in (select prompt_id from scope)),
kept_of_trees as (
    from kept_tree_refinement union all from kept_tree_judgement_yes
    union all from kept_tree_judgement_no),
kept_response_judgement_no as (
    select 'response_judgement' as source, * from (
        select * from split_response where verdict = 'no'
          and (prompt_id, md5(response)) not in (
              select prompt_id, md5(response) from kept_of_trees)
        qualify row_number() over (
            partition by prompt_id, md5(response) order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {response_judgement_no}),
kept_response_judgement_yes as (
    select 'response_judgement' as source, * from (
        select * from split_response where verdict = 'yes'
          and (prompt_id, md5(response)) not in (
              select prompt_id, md5(response) from kept_of_trees
              union all select prompt_id, md5(response) from kept_response_judgement_no)
        qualify row_number() over (
            partition by prompt_id, md5(response) order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {response_judgement_yes}),
kept as (
    from kept_of_trees union all from kept_response_judgement_no
    union all from kept_response_judgement_yes)
select key, kept.source, prompt_id, prompt, tree_id, node_id, response_id, response, critique,
       reflection, refined, verdict, value
from kept join prompts using (prompt_id)
