/*
 * The seconds until the next job of these families becomes due: a retry, a snooze, a scheduled job. No notification is
 * sent at that time, so a worker calls this function before a long wait. Jobs that are already due are ignored.
 *
 * families      ["browser", …]
 * executor_id   include the jobs addressed to this executor
 *
 * Returns {"seconds"}: null if no job is scheduled. Errors: CQ005.
 */
create or replace function public.next_due(families jsonb, executor_id text default null) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    soonest timestamptz;
begin
    if jsonb_typeof(next_due.families) is distinct from 'array' then
        perform cogo_internal.invalid_argument('families must be an array such as ["browser"].');
    end if;
    select min(lane.next_run_at) into soonest
    from jsonb_array_elements_text(next_due.families) as family (name)
    cross join generate_series(0, 9) as level (priority)
    cross join lateral (
        (select j.next_run_at from public.jobs j
         where j.status = 'queued' and j.family = family.name and j.executor_id = next_due.executor_id
           and j.priority = level.priority and j.next_run_at > at
         order by j.next_run_at limit 1)
        union all
        (select j.next_run_at from public.jobs j
         where j.status = 'queued' and j.family = family.name and j.executor_id is null
           and j.priority = level.priority and j.next_run_at > at
         order by j.executor_id, j.next_run_at limit 1)  -- as in claim_jobs
    ) lane;
    return jsonb_build_object('seconds', cogo_internal.seconds_between(at, soonest));
end $$;

comment on function public.next_due is 'The seconds until the next job of these families becomes due.';
