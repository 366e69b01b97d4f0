/*
 * Finished jobs of the last hours, by hour and status: the jobs that succeeded or were cancelled, and the failures that
 * ended a job, even if it was retried afterwards.
 *
 * hours   1 to 168
 *
 * Returns {"hours": [{"start", "succeeded", "failed", "cancelled"}] without gaps, the current hour last,
 * "families": [{"family", "succeeded", "failed", "run_p50", "run_p95"}], "errors": [{"error_class", "count"}] the ten
 * most frequent of the failures, "run_seconds": {"p50", "p95"} of the succeeded jobs, "wait_seconds": {"p50", "p95"} from
 * enqueue to the claim of jobs that succeeded at their first attempt, "complete": true}. All jobs are counted; their
 * durations are rounded to three digits. Errors: CQ005.
 *
 * It reads stored numbers, and the rows of the last minutes: see roll_up_jobs.
 */
create or replace function public.job_history(hours integer default 24) returns jsonb
language plpgsql stable set search_path = '' set jit = off set plan_cache_mode = force_custom_plan as $$
declare
    at constant timestamptz := clock_timestamp();
    first_hour constant timestamptz := date_trunc('hour', at, 'UTC') - make_interval(hours => job_history.hours - 1);
    measures public.job_measures;
    result jsonb;
begin
    if job_history.hours is null or job_history.hours not between 1 and 168 then
        perform cogo_internal.invalid_argument('hours must be 1 to 168.');
    end if;
    select n.* into measures
    from (select array_agg(m) as parts from cogo_internal.stored_measures(first_hour, at) m) whole,
        cogo_internal.add_measures(1, first_hour, whole.parts) n;

    with part as (
        select p.starts_at, p.tally from cogo_internal.stored_numbers(first_hour, at, 1) p
        union all
        select greatest(r.from_time, h.start), n.tally
        from cogo_internal.uncounted_ranges(first_hour, at) r
        join generate_series(first_hour, at, interval '1 hour') as h (start)
            on h.start < r.until_time and h.start + interval '1 hour' > r.from_time
        cross join lateral cogo_internal.job_numbers(greatest(r.from_time, h.start), least(r.until_time, h.start + interval '1 hour')) n
    ), counted as materialized (
        select date_bin(interval '1 hour', p.starts_at, first_hour) as hour, split_part(t.type, '.', 1) as family,
            case t.status when 'forced' then 'succeeded' else t.status end as status, sum(t.n) as n
        from part p cross join lateral jsonb_to_recordset(p.tally) as t (type text, status text, n bigint)
        where t.status is not null
        group by 1, 2, 3
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
            select b.family, b.succeeded, b.failed, q.us[1] / 1e6 as run_p50, q.us[2] / 1e6 as run_p95
            from by_family b
            left join lateral (
                select array_agg(v.us) as us, array_agg(v.n) as n
                from unnest(measures.run_family, measures.run_us, measures.run_n) as v (family, us, n) where v.family = b.family
            ) run on true
            left join lateral cogo_internal.weighted_quantiles(run.us, run.n) as q (us) on true) f),
        'errors', (select coalesce(jsonb_agg(to_jsonb(x) order by x.count desc, x.error_class), '[]') from (
            select e.class as error_class, e.n as count from jsonb_to_recordset(measures.errors) as e (class text, n bigint)
            order by e.n desc, e.class limit 10) x),
        'run_seconds', (select jsonb_build_object('p50', q.us[1] / 1e6, 'p95', q.us[2] / 1e6)
                        from cogo_internal.weighted_quantiles(measures.run_us, measures.run_n) as q (us)),
        'wait_seconds', (select jsonb_build_object('p50', q.us[1] / 1e6, 'p95', q.us[2] / 1e6)
                         from cogo_internal.weighted_quantiles(measures.wait_us, measures.wait_n) as q (us)),
        'complete', true)
    into result;
    return result;
end $$;

comment on function public.job_history is 'Finished jobs of the last hours, by hour.';
