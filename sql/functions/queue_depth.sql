/*
 * The number of queued jobs that are due and not paused, counted up to a limit: what an autoscaler divides by the slots
 * of a worker. It reads at most max_jobs index entries for each family, executor ID and priority.
 *
 * families    ["browser", …]; null counts all families
 * max_jobs    the largest number to count, 1 to 100,000
 *
 * Returns {"jobs"}. Errors: CQ005.
 */
create or replace function public.queue_depth(families jsonb default null, max_jobs integer default 1000) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    size constant integer := least(greatest(queue_depth.max_jobs, 1), 100000);
    counted bigint;
begin
    if queue_depth.families is not null and jsonb_typeof(queue_depth.families) <> 'array' then
        perform cogo_internal.invalid_argument('families must be an array such as ["browser"].');
    end if;
    select sum(lane.jobs) into counted
    from cogo_internal.queue_lanes() as known (family, executor_id)
    cross join generate_series(0, 9) as level (priority)
    cross join lateral (
        select count(*) as jobs from (
            (select j.type from public.jobs j
             where j.status = 'queued' and j.family = known.family and j.executor_id = known.executor_id
               and j.priority = level.priority and j.next_run_at <= at
             order by j.next_run_at limit size)
            union all
            (select j.type from public.jobs j
             where j.status = 'queued' and j.family = known.family and j.executor_id is null and known.executor_id is null
               and j.priority = level.priority and j.next_run_at <= at
             order by j.executor_id, j.next_run_at limit size)  -- as in claim_jobs
        ) due
        where not exists (
            select from public.paused p
            where p.kind = 'type' and (due.type = p.name or starts_with(due.type, p.name || '.'))
               or p.kind = 'executor' and p.name = known.executor_id)
    ) lane
    where queue_depth.families is null or queue_depth.families ? known.family;
    return jsonb_build_object('jobs', least(coalesce(counted, 0), size));
end $$;

comment on function public.queue_depth is 'The number of due jobs that are not paused, counted up to a limit.';
