/*
 * The run times, waits and error classes of the jobs that finished in [starts_at, ends_at): a row of job_measures. Run times
 * are those of succeeded jobs, waits those of jobs that succeeded at their first attempt; a failure that ended its job
 * counts even after the job was retried.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.measure_jobs(starts_at timestamptz, ends_at timestamptz) returns public.job_measures
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    measures public.job_measures;
begin
    measures.hours := 0;
    measures.starts_at := measure_jobs.starts_at;
    with succeeded as materialized (
        select j.family,
            case when j.run_seconds >= 0 and j.run_seconds < 1e9 then cogo_internal.three_digits(1e6 * j.run_seconds) end as run_us,
            case when j.attempts = 1 and isfinite(j.claimed_at) and isfinite(j.created_at) then
                cogo_internal.three_digits(1e6 * greatest(extract(epoch from j.claimed_at - j.created_at)::double precision, 0))
                end as wait_us
        from public.jobs j
        where j.status = 'succeeded' and j.finished_at >= measure_jobs.starts_at and j.finished_at < measure_jobs.ends_at
    ), run as (
        select s.family, s.run_us, count(*) as n from succeeded s where s.run_us is not null group by 1, 2
    ), wait as (
        select s.wait_us, count(*) as n from succeeded s where s.wait_us is not null group by 1
    ), failed as (
        select j.error ->> 'class' as class from public.jobs j
        where j.status = 'failed' and j.finished_at >= measure_jobs.starts_at and j.finished_at < measure_jobs.ends_at
        union all
        select a.error ->> 'class' from public.job_attempts a
        where a.ended_job and a.finished_at >= measure_jobs.starts_at and a.finished_at < measure_jobs.ends_at
    )
    select coalesce(r.family, '{}'), coalesce(r.us, '{}'), coalesce(r.n, '{}'), coalesce(w.us, '{}'), coalesce(w.n, '{}'),
        coalesce(e.errors, '[]')
    into measures.run_family, measures.run_us, measures.run_n, measures.wait_us, measures.wait_n, measures.errors
    from (select array_agg(r.family) as family, array_agg(r.run_us) as us, array_agg(r.n) as n from run r) r
    cross join (select array_agg(w.wait_us) as us, array_agg(w.n) as n from wait w) w
    cross join (select jsonb_agg(jsonb_build_object('class', f.class, 'n', f.n)) as errors
                from (select f.class, count(*) as n from failed f where f.class is not null group by 1) f) e;
    return measures;
end $$;

comment on function cogo_internal.measure_jobs is 'The durations and error classes of the jobs that finished in a range of time.';
