-- Which lessons a first refiner learns.
--
-- The same chat is learnt once. Of judgements as many say Yes as No, so that saying No is not all
-- that is learnt; which ones go is drawn by the seed.
with
once as (
    select * from lessons
    where prompt_id in (select prompt_id from scope)
    qualify row_number() over (
        partition by task, md5(messages[1:-2]::varchar) order by sft_id) = 1),
judgement as (
    select *, row_number() over (partition by label order by md5(sft_id || ':' || $seed)) as place
    from once where task = 'judge'),
kept as (
    select * exclude (place) from judgement
    where place <= (
        select min(number) from (
            select count(*) filter (label = verdict) as number
            from judgement cross join (values ('Yes'), ('No')) _ (verdict) group by verdict))
    union all
    select * from once where task = 'refine')
select sft_id as key, * from kept
