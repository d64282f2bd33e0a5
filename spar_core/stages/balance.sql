-- Which lessons a first refiner learns.
--
-- The same chat is learnt once. Of judgements as many say Yes as No, so that saying No is not all
-- that is learnt: among the prompts that ask for the same kinds of constraints, and so of every
-- kind. Prompts without checks are balanced among themselves. Which ones go is drawn by the seed.
with
asked as (
    select prompt_id, (
        select list(distinct one.id order by one.id) from (select unnest(checks) as one)) as kinds
    from prompts where prompt_id in (select prompt_id from scope)),
once as (
    select * from lessons
    where prompt_id in (select prompt_id from scope)
    qualify row_number() over (
        partition by task, md5(messages[1:-2]::varchar) order by sft_id) = 1),
judgement as (
    select once.*,
           row_number() over (
               partition by kinds, label order by md5(sft_id || ':' || $seed)) as place,
           least(count(*) filter (label = 'Yes') over alike,
                 count(*) filter (label = 'No') over alike) as number
    from once join asked using (prompt_id) where task = 'judge'
    window alike as (partition by kinds)),
kept as (
    select * exclude (place, number) from judgement where place <= number
    union all
    select * from once where task = 'refine')
select sft_id as key, * from kept
