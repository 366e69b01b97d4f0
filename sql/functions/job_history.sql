/*
 * Finished jobs of the last hours, by hour and status.
 *
 * hours   1 to 168
 *
 * Returns {"hours": [{"start", "succeeded", "failed", "cancelled"}] without gaps, the current hour last,
 * "families": [{"family", "succeeded", "failed", "run_p50", "run_p95"}], "errors": [{"error_class", "count"}] the ten
 * most frequent among the failed, "run_seconds": {"p50", "p95"}, "wait_seconds": {"p50", "p95"} from enqueue to the
 * first claim, "complete": false if only the newest 50,000 of a status were read}. Errors: CQ005.
 */
create or replace function public.job_history(hours integer default 24) returns jsonb
language plpgsql stable set search_path = '' set jit = off set work_mem = '32MB' set plan_cache_mode = force_custom_plan as $$
declare
    newest constant integer := 50000;
    first_hour timestamptz := date_trunc('hour', clock_timestamp(), 'UTC') - make_interval(hours => job_history.hours - 1);
    result jsonb;
begin
    if job_history.hours is null or job_history.hours not between 1 and 168 then
        perform cogo_internal.invalid_argument('hours must be 1 to 168.');
    end if;
    with ended as materialized (
        select e.status, e.family, date_trunc('hour', e.finished_at, 'UTC') as hour, e.run_seconds,
            case when e.attempts = 1 then cogo_internal.seconds_between(e.created_at, e.claimed_at) end as wait_seconds,
            e.error ->> 'class' as error_class
        from (
            -- Each status by its own index.
            (select j.* from public.jobs j where j.status = 'succeeded' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest)
            union all
            (select j.* from public.jobs j where j.status = 'failed' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest)
            union all
            (select j.* from public.jobs j where j.status = 'cancelled' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest)
        ) e
    ), by_hour as (
        select e.hour, count(*) filter (where e.status = 'succeeded') as succeeded,
            count(*) filter (where e.status = 'failed') as failed, count(*) filter (where e.status = 'cancelled') as cancelled
        from ended e group by e.hour
    )
    select jsonb_build_object(
        'hours', (select jsonb_agg(jsonb_build_object('start', h.start, 'succeeded', coalesce(b.succeeded, 0),
                                                      'failed', coalesce(b.failed, 0), 'cancelled', coalesce(b.cancelled, 0))
                                   order by h.start)
                  from generate_series(first_hour, clock_timestamp(), interval '1 hour') as h (start)
                  left join by_hour b on b.hour = h.start),
        'families', (select coalesce(jsonb_agg(to_jsonb(f) order by f.succeeded + f.failed desc, f.family), '[]') from (
            select e.family, count(*) filter (where e.status = 'succeeded') as succeeded,
                count(*) filter (where e.status = 'failed') as failed,
                percentile_cont(0.5) within group (order by e.run_seconds) as run_p50,
                percentile_cont(0.95) within group (order by e.run_seconds) as run_p95
            from ended e where e.status <> 'cancelled' group by e.family order by count(*) desc limit 20) f),
        'errors', (select coalesce(jsonb_agg(to_jsonb(x) order by x.count desc, x.error_class), '[]') from (
            select e.error_class, count(*) as count from ended e where e.status = 'failed' and e.error_class is not null
            group by e.error_class order by count(*) desc, e.error_class limit 10) x),
        'run_seconds', (select jsonb_build_object('p50', percentile_cont(0.5) within group (order by e.run_seconds),
                                                  'p95', percentile_cont(0.95) within group (order by e.run_seconds))
                        from ended e where e.status <> 'cancelled'),
        'wait_seconds', (select jsonb_build_object('p50', percentile_cont(0.5) within group (order by e.wait_seconds),
                                                   'p95', percentile_cont(0.95) within group (order by e.wait_seconds)) from ended e),
        'complete', not exists (select from ended e group by e.status having count(*) >= newest))
    into result;
    return result;
end $$;

comment on function public.job_history is 'Finished jobs of the last hours, by hour.';
