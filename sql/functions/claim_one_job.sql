/*
 * Claim one due job of any family: the interface of older workers. Returns the job, or null if nothing is due.
 * Settle it with complete_job or fail_job and its lease_token. Errors: CQ005.
 *
 * Reads the index jobs_claim_lane in its order: see claim_jobs.
 */
create or replace function public.claim_one_job(executor_id text, worker_id text, lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
    at timestamptz := clock_timestamp();
    next_family text;
    paused_types text;
begin
    paused_types := cogo_internal.paused_types(claim_one_job.executor_id);

    -- The family of the first due job; one recursive step per family instead of a scan of the queue.
    with recursive known as (
        (select j.family from public.jobs j where j.status = 'queued' order by j.family limit 1)
        union all
        select (select j.family from public.jobs j
                where j.status = 'queued' and j.family > k.family order by j.family limit 1)
        from known k where k.family is not null
    )
    select k.family into next_family
    from known k
    cross join lateral (
        select min(d.next_run_at) as next_run_at, level.priority
        from generate_series(0, 9) as level (priority)
        cross join lateral (
            (select j.next_run_at from public.jobs j
             where j.status = 'queued' and j.family = k.family and j.executor_id is null
               and j.priority = level.priority and j.next_run_at <= at
               and (paused_types is null or j.type !~ paused_types) order by j.executor_id, j.next_run_at limit 1)
            union all
            (select j.next_run_at from public.jobs j
             where j.status = 'queued' and j.family = k.family and j.executor_id = claim_one_job.executor_id
               and j.priority = level.priority and j.next_run_at <= at
               and (paused_types is null or j.type !~ paused_types) order by j.next_run_at limit 1)
        ) d
        group by level.priority
    ) first_due
    where k.family is not null and (paused_types is null or k.family !~ paused_types)
    order by first_due.priority, first_due.next_run_at
    limit 1;

    if next_family is null then
        return null;
    end if;
    return (public.claim_jobs(gen_random_uuid(), jsonb_build_array(jsonb_build_object('family', next_family, 'max_jobs', 1)),
                             claim_one_job.worker_id, null, claim_one_job.executor_id,
                             claim_one_job.lease_seconds) #> '{jobs,0}')::jsonb;
end $$;

comment on function public.claim_one_job is 'Claim one due job of any family, or null.';
