-- Which samples the refiner is fine-tuned on (the caps are those of spar_core.preference.RFT_CAPS).
--
-- The kinds choose one after another. A sample's judge prompt is a prompt and a response: no two
-- samples have the same one, and a kind passes over those that an earlier kind has kept. What a
-- cap leaves out has claimed nothing. Texts go by their hash until all is chosen: a run of many
-- prompts has millions, of which a few thousand are kept.
with
tree_refinement as (
    select c.node_id || '.refine' as key, c.prompt_id, c.tree_id, c.node_id,
           m.node_id as mended_id, null::varchar as response_id, md5(m.response) as said
    from trees t
    join nodes c on c.node_id = t.chosen_node_id
    join nodes m on m.node_id = c.parent_id
    where t.solved and t.prompt_id in (select prompt_id from scope)),
kept_tree_refinement as (
    select 'tree_refinement' as source, * from (
        select * from tree_refinement
        qualify row_number() over (
            partition by prompt_id, said order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_refinement}),

-- Nodes whose votes were split: of each tree one that passed and one that failed.
split_node as (
    select node_id || '.judge' as key, prompt_id, tree_id, node_id, null::varchar as mended_id,
           null::varchar as response_id, md5(response) as said, verdict
    from nodes
    where depth > 0 and value > 0 and value < 1 and verdict in ('yes', 'no')
      and prompt_id in (select prompt_id from scope)),
kept_tree_judgement_yes as (
    select 'tree_judgement' as source, * exclude (verdict) from (
        select * from split_node where verdict = 'yes'
          and (prompt_id, said) not in (select prompt_id, said from kept_tree_refinement)
        qualify row_number() over (partition by tree_id order by md5(node_id || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_judgement_yes}),
kept_tree_judgement_no as (
    select 'tree_judgement' as source, * exclude (verdict) from (
        select * from split_node where verdict = 'no'
          and (prompt_id, said) not in (
              select prompt_id, said from kept_tree_refinement
              union all select prompt_id, said from kept_tree_judgement_yes)
        qualify row_number() over (partition by tree_id order by md5(node_id || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {tree_judgement_no}),

-- Sampled responses whose votes were split: equal ones once.
split_response as (
    select response_id || '.judge' as key, prompt_id, null::varchar as tree_id,
           null::varchar as node_id, null::varchar as mended_id, response_id,
           md5(response) as said, verdict
    from judgements join responses using (response_id, prompt_id)
    where value > 0 and value < 1 and verdict in ('yes', 'no')
      and prompt_id in (select prompt_id from scope)),
kept_of_trees as (
    from kept_tree_refinement union all from kept_tree_judgement_yes
    union all from kept_tree_judgement_no),
kept_response_judgement_no as (
    select 'response_judgement' as source, * exclude (verdict) from (
        select * from split_response where verdict = 'no'
          and (prompt_id, said) not in (select prompt_id, said from kept_of_trees)
        qualify row_number() over (
            partition by prompt_id, said order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {response_judgement_no}),
kept_response_judgement_yes as (
    select 'response_judgement' as source, * exclude (verdict) from (
        select * from split_response where verdict = 'yes'
          and (prompt_id, said) not in (
              select prompt_id, said from kept_of_trees
              union all select prompt_id, said from kept_response_judgement_no)
        qualify row_number() over (
            partition by prompt_id, said order by md5(key || ':' || $seed)) = 1)
    order by md5(key || ':' || $seed) limit {response_judgement_yes}),
kept as materialized (
    from kept_of_trees union all from kept_response_judgement_no
    union all from kept_response_judgement_yes)
select key, k.source, k.prompt_id, prompt, k.tree_id, k.node_id, k.response_id,
       coalesce(m.response, n.response, r.response) as response,
       if(k.source = 'tree_refinement', m.critique, coalesce(n.critique, j.critique)) as critique,
       if(k.source = 'tree_refinement', n.reflection, null) as reflection,
       if(k.source = 'tree_refinement', n.response, null) as refined,
       coalesce(n.verdict, j.verdict) as verdict, coalesce(n.value, j.value) as value
from kept k join prompts p on p.prompt_id = k.prompt_id
left join nodes n on n.node_id = k.node_id
left join nodes m on m.node_id = k.mended_id
left join responses r on r.response_id = k.response_id
left join judgements j on j.response_id = k.response_id
