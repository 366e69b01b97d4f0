/*
 * The jobs that finished in [starts_at, ends_at) and the attempts that ended in it, as numbers that can be added up:
 * a row of job_periods. See gate_summary for what is counted. Waits are milliseconds, of which the first three digits count.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.job_numbers(starts_at timestamptz, ends_at timestamptz) returns public.job_periods
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    numbers public.job_periods;
begin
    numbers.starts_at := job_numbers.starts_at;
    -- Succeeded jobs are read once: a wait has few values, since it has three digits.
    with succeeded as materialized (
        select j.type, case when j.result @> '{"forced": true}' then 'forced' else 'succeeded' end as status,
            case when isfinite(coalesce(j.started_at, j.claimed_at)) and isfinite(j.next_run_at) then
                cogo_internal.three_digits(1000 * greatest(
                    extract(epoch from coalesce(j.started_at, j.claimed_at) - j.next_run_at)::double precision, 0)) end as wait_ms,
            count(*) as n, count(*) filter (where j.attempts <= 1) as first_try, count(j.lease_token) as attempts
        from public.jobs j
        where j.status = 'succeeded' and j.finished_at >= job_numbers.starts_at and j.finished_at < job_numbers.ends_at
        group by 1, 2, 3
    ), superseded as (
        select coalesce(j.type, 'unknown') as type, a.ended_job, count(*) as n,
            count(*) filter (where a.outcome = 'failed' and not a.ended_job) as retried,
            count(*) filter (where a.outcome = 'lost') as lost
        from public.job_attempts a left join public.jobs j on j.id = a.job_id
        where a.finished_at >= job_numbers.starts_at and a.finished_at < job_numbers.ends_at
        group by 1, 2
    ), tally as (
        select s.type, s.status, sum(s.n) as n, sum(s.first_try) as first_try, sum(s.attempts) as attempts, 0 as retried, 0 as lost
        from succeeded s group by 1, 2
        union all
        select j.type, j.status, count(*), count(*) filter (where j.attempts <= 1), count(j.lease_token), 0, 0
        from public.jobs j
        where j.status in ('failed', 'cancelled')
          and j.finished_at >= job_numbers.starts_at and j.finished_at < job_numbers.ends_at
        group by 1, 2
        union all
        select s.type, case when s.ended_job then 'failed' end, s.n, 0, s.n, s.retried, s.lost from superseded s
    ), wait as (
        -- Of succeeded jobs only: a retry overwrites the row of a failed job.
        select s.wait_ms as ms, sum(s.n)::bigint as n from succeeded s where s.wait_ms is not null group by 1
    )
    select coalesce(t.all_types, '[]'), coalesce(t.succeeded, 0), coalesce(w.ms, '{}'), coalesce(w.n, '{}')
    into numbers.tally, numbers.succeeded, numbers.wait_ms, numbers.wait_n
    from (select jsonb_agg(to_jsonb(t)) as all_types, sum(t.n) filter (where t.status in ('succeeded', 'forced')) as succeeded from tally t) t
    cross join (select array_agg(w.ms order by w.ms) as ms, array_agg(w.n order by w.ms) as n from wait w) w;

    select coalesce(jsonb_agg(to_jsonb(m)), '[]') into numbers.failures
    from (
        select f.type, f.error ->> 'class' as class, split_part(f.error ->> 'message', E'\n', 1) as message, count(*) as n
        from (
            select j.type, j.error from public.jobs j
            where j.status = 'failed' and j.finished_at >= job_numbers.starts_at and j.finished_at < job_numbers.ends_at
              and j.lease_token is not null  -- else its last attempt was lost, and is counted below
            union all
            select coalesce(j.type, 'unknown'), a.error
            from public.job_attempts a left join public.jobs j on j.id = a.job_id
            where (a.outcome in ('failed', 'lost') or a.ended_job)
              and a.finished_at >= job_numbers.starts_at and a.finished_at < job_numbers.ends_at
        ) f
        group by 1, 2, 3
    ) m;
    return numbers;
end $$;

comment on function cogo_internal.job_numbers is 'Finished jobs of a range of time as numbers that can be added up.';
