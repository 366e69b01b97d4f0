/*
 * The lanes that have queued jobs: family and executor ID, null for unaddressed jobs. One step through the index
 * jobs_claim_lane for each lane: those of a family by executor ID, the unaddressed one last, then the next family.
 * The caller has the settings of claim_jobs. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.queue_lanes() returns table (family text, executor_id text)
language sql stable set search_path = '' as $$
    with recursive known as (
        (select j.family, j.executor_id from public.jobs j where j.status = 'queued'
         order by j.family, j.executor_id limit 1)
        union all
        select next.* from known k cross join lateral (
            (select j.family, j.executor_id from public.jobs j
             where j.status = 'queued' and j.family = k.family and j.executor_id > k.executor_id
             order by j.family, j.executor_id limit 1)
            union all
            (select j.family, j.executor_id from public.jobs j
             where j.status = 'queued' and j.family = k.family and j.executor_id is null and k.executor_id is not null
             limit 1)
            union all
            (select j.family, j.executor_id from public.jobs j
             where j.status = 'queued' and j.family > k.family
             order by j.family, j.executor_id limit 1)
            limit 1
        ) next
    )
    select k.family, k.executor_id from known k
$$;

comment on function cogo_internal.queue_lanes is 'The lanes that have queued jobs.';
