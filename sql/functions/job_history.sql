/*
 * Finished jobs of the last hours, by hour and status.
 *
 * hours   1 to 168
 *
 * Returns {"hours": [{"start", "succeeded", "failed", "cancelled"}] without gaps, the current hour last,
 * "families": [{"family", "succeeded", "failed", "run_p50", "run_p95"}], "errors": [{"error_class", "count"}] the ten
 * most frequent among the failed, "run_seconds": {"p50", "p95"}, "wait_seconds": {"p50", "p95"} from enqueue to the
 * first claim, "complete": false if durations are those of the newest 5,000 succeeded jobs only, or if failed or cancelled
 * jobs beyond the newest 20,000 were not counted}. Errors: CQ005.
 *
 * Succeeded jobs are counted from stored numbers, and from the rows of the rest: see roll_up_jobs.
 */
create or replace function public.job_history(hours integer default 24) returns jsonb
language plpgsql stable set search_path = '' set jit = off set work_mem = '32MB' set plan_cache_mode = force_custom_plan as $$
declare
    newest constant integer := 5000;
    newest_unsuccessful constant integer := 20000;
    at constant timestamptz := clock_timestamp();
    first_hour timestamptz := date_trunc('hour', at, 'UTC') - make_interval(hours => job_history.hours - 1);
    result jsonb;
begin
    if job_history.hours is null or job_history.hours not between 1 and 168 then
        perform cogo_internal.invalid_argument('hours must be 1 to 168.');
    end if;
    with succeeded as materialized (
        select date_bin(interval '1 hour', p.starts_at, first_hour) as hour, split_part(t.type, '.', 1) as family, sum(t.n) as n
        from cogo_internal.stored_numbers(first_hour, at, 1) p
        cross join lateral jsonb_to_recordset(p.tally) as t (type text, status text, n bigint)
        where t.status in ('succeeded', 'forced')
        group by 1, 2
        union all
        select counted.* from cogo_internal.uncounted_ranges(first_hour, 'infinity') r
        cross join lateral (
            select date_bin(interval '1 hour', j.finished_at, first_hour), j.family, count(*) from public.jobs j
            where j.status = 'succeeded' and j.finished_at >= r.from_time and j.finished_at < r.until_time
            group by 1, 2) counted
    ), ended as materialized (
        select e.status, e.family, date_bin(interval '1 hour', e.finished_at, first_hour) as hour, e.run_seconds,
            case when e.attempts = 1 then cogo_internal.seconds_between(e.created_at, e.claimed_at) end as wait_seconds,
            e.error ->> 'class' as error_class
        from (
            -- Each status by its own index.
            (select j.* from public.jobs j where j.status = 'succeeded' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest)
            union all
            (select j.* from public.jobs j where j.status = 'failed' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest_unsuccessful)
            union all
            (select j.* from public.jobs j where j.status = 'cancelled' and j.finished_at >= first_hour
             order by j.finished_at desc limit newest_unsuccessful)
        ) e
    ), counted as materialized (
        select s.hour, s.family, 'succeeded' as status, s.n from succeeded s
        union all
        select e.hour, e.family, e.status, count(*) from ended e where e.status <> 'succeeded' group by 1, 2, 3
    ), by_hour as (
        select c.hour, coalesce(sum(c.n) filter (where c.status = 'succeeded'), 0) as succeeded,
            coalesce(sum(c.n) filter (where c.status = 'failed'), 0) as failed,
            coalesce(sum(c.n) filter (where c.status = 'cancelled'), 0) as cancelled
        from counted c group by c.hour
    ), by_family as (
        select c.family, coalesce(sum(c.n) filter (where c.status = 'succeeded'), 0) as succeeded,
            coalesce(sum(c.n) filter (where c.status = 'failed'), 0) as failed
        from counted c where c.status <> 'cancelled' group by c.family order by sum(c.n) desc limit 20
    )
    select jsonb_build_object(
        'hours', (select jsonb_agg(jsonb_build_object('start', h.start, 'succeeded', coalesce(b.succeeded, 0),
                                                      'failed', coalesce(b.failed, 0), 'cancelled', coalesce(b.cancelled, 0))
                                   order by h.start)
                  from generate_series(first_hour, at, interval '1 hour') as h (start)
                  left join by_hour b on b.hour = h.start),
        'families', (select coalesce(jsonb_agg(to_jsonb(f) order by f.succeeded + f.failed desc, f.family), '[]') from (
            select b.family, b.succeeded, b.failed, d.run_p50, d.run_p95
            from by_family b
            left join (select e.family, percentile_cont(0.5) within group (order by e.run_seconds) as run_p50,
                           percentile_cont(0.95) within group (order by e.run_seconds) as run_p95
                       from ended e where e.status <> 'cancelled' group by e.family) d on d.family = b.family) f),
        'errors', (select coalesce(jsonb_agg(to_jsonb(x) order by x.count desc, x.error_class), '[]') from (
            select e.error_class, count(*) as count from ended e where e.status = 'failed' and e.error_class is not null
            group by e.error_class order by count(*) desc, e.error_class limit 10) x),
        'run_seconds', (select jsonb_build_object('p50', percentile_cont(0.5) within group (order by e.run_seconds),
                                                  'p95', percentile_cont(0.95) within group (order by e.run_seconds))
                        from ended e where e.status <> 'cancelled'),
        'wait_seconds', (select jsonb_build_object('p50', percentile_cont(0.5) within group (order by e.wait_seconds),
                                                   'p95', percentile_cont(0.95) within group (order by e.wait_seconds)) from ended e),
        'complete', not exists (select from ended e group by e.status
                                having count(*) >= case when e.status = 'succeeded' then newest else newest_unsuccessful end))
    into result;
    return result;
end $$;

comment on function public.job_history is 'Finished jobs of the last hours, by hour.';
