/*
 * The numbers of a window: gate runs of one branch, and the jobs of the queue. The window is half-open, [window_start,
 * window_end), so that adjacent windows count each row once.
 *
 * window_end     null: now
 * window_start   null: `hours` (24) before the end; at most 31 days before
 * branch         the branch whose gate runs count. A gate_fix counts on every branch, since a fix has its own branch
 *
 * It counts rows that never change: ended attempts (a failure that ended its job counts even after the job was retried)
 * and gate runs, each by the time it ended. The result for a window is therefore identical until a purge. Jobs are
 * counted by job_numbers, or were by roll_up_jobs, whose numbers stay after a purge. Waits have whole milliseconds
 * and three digits.
 *
 * Returns {"window", "branch", "branch_known", "branches", "gate", "gate_fix", "build_seconds", "test_seconds", "lint"
 * and "coverage_percent" of the newest run that has them, "jobs", "top_failures", "days", "sources": numbers of rows}.
 * Rates are percentages and leave out forced successes. Errors: CQ005.
 */
create or replace function public.gate_summary(
    window_start timestamptz default null, window_end timestamptz default null, branch text default 'main',
    hours double precision default 24
) returns jsonb
language plpgsql stable
set search_path = '' set timezone = 'UTC' set plan_cache_mode = force_custom_plan set jit = off
as $$
declare
    window_end constant timestamptz := coalesce(gate_summary.window_end, clock_timestamp());
    window_start constant timestamptz := coalesce(
        gate_summary.window_start, window_end - make_interval(secs => least(greatest(gate_summary.hours, 0), 1000) * 3600));
    -- width_bucket over this list costs a tenth less per row than date_trunc.
    days constant timestamptz[] := array(
        select generate_series(date_trunc('day', window_start), window_end, interval '1 day'));
    gates jsonb;
    jobs jsonb;
    parts public.job_periods[];
    waits double precision[];
    failures jsonb;
begin
    if window_start >= window_end or window_end - window_start > interval '31 days' then
        perform cogo_internal.invalid_argument('The window must end after it begins, and span at most 31 days.');
    end if;
    if coalesce(length(gate_summary.branch), 0) not between 1 and 255 then
        perform cogo_internal.invalid_argument('The branch must have 1 to 255 characters.');
    end if;

    with run as materialized (
        select * from public.gate_runs r where r.created_at >= window_start and r.created_at < window_end
    ), branch_runs as materialized (
        select * from run r where r.type = 'gate' and r.branch = gate_summary.branch
    )
    select jsonb_build_object(
        'branch', gate_summary.branch,
        'branch_known', exists (select from public.gate_runs r
                                where r.branch = gate_summary.branch and r.created_at < window_end),
        'branches', (select coalesce(jsonb_agg(b.branch order by b.n desc, b.branch), '[]') from (
            select r.branch, count(*) as n from run r where r.type = 'gate'
            group by r.branch order by n desc, r.branch limit 20) b),
        'gate', (select jsonb_build_object(
            'runs', count(*), 'passed', count(*) filter (where o.status = 'pass'),
            'failed', count(*) filter (where o.status = 'fail'),
            'pass_rate', cogo_internal.percentage(count(*) filter (where o.status = 'pass'), count(*))) from branch_runs o),
        'gate_fix', (select jsonb_build_object(
            'runs', count(*), 'passed', count(*) filter (where r.status = 'pass'),
            'failed', count(*) filter (where r.status = 'fail'),
            'pass_rate', cogo_internal.percentage(count(*) filter (where r.status = 'pass'), count(*)))
            from run r where r.type = 'gate_fix'),
        'build_seconds', (select cogo_internal.median_and_p95(percentile_cont(array[0.5, 0.95]) within group (order by o.build_seconds))
                          from branch_runs o),
        'test_seconds', (select cogo_internal.median_and_p95(percentile_cont(array[0.5, 0.95]) within group (order by o.test_seconds))
                         from branch_runs o),
        'lint', coalesce((select jsonb_build_object('errors', o.lint_errors, 'warnings', o.lint_warnings)
                          from branch_runs o where o.lint_errors is not null order by o.created_at desc, o.id desc limit 1),
                         '{"errors": null, "warnings": null}'),
        'coverage_percent', (select o.coverage_percent from branch_runs o where o.coverage_percent is not null
                             order by o.created_at desc, o.id desc limit 1),
        'days', (select coalesce(jsonb_object_agg(d.day, jsonb_build_object('passed', d.passed, 'failed', d.failed)), '{}') from (
            select to_char(o.created_at, 'YYYY-MM-DD') as day, count(*) filter (where o.status = 'pass') as passed,
                   count(*) filter (where o.status = 'fail') as failed
            from branch_runs o group by 1) d),
        'runs', (select count(*) from run))
    into gates;

    -- Stored periods, and the rest counted now, by day.
    select array_agg(part) into parts from (
        select p as part from cogo_internal.stored_numbers(window_start, window_end) p
        union all
        select cogo_internal.job_numbers(greatest(r.from_time, d.day), least(r.until_time, d.day + interval '1 day'))
        from cogo_internal.uncounted_ranges(window_start, window_end) r
        join unnest(days) as d (day) on d.day < r.until_time and d.day + interval '1 day' > r.from_time
    ) counted;

    with tally as materialized (
        select t.type, width_bucket(p.starts_at, days) as day, t.status, sum(t.n) as n, sum(t.first_try) as first_try,
            sum(t.attempts) as attempts, sum(t.retried) as retried, sum(t.lost) as lost
        from unnest(parts) as p
        cross join lateral jsonb_to_recordset(p.tally) as t (type text, status text, n bigint, first_try bigint,
                                                             attempts bigint, retried bigint, lost bigint)
        group by 1, 2, 3
    ), total as (
        select coalesce(sum(t.n) filter (where t.status = 'succeeded'), 0)::bigint as succeeded,
            coalesce(sum(t.n) filter (where t.status = 'failed'), 0)::bigint as failed,
            coalesce(sum(t.n) filter (where t.status = 'cancelled'), 0)::bigint as cancelled,
            coalesce(sum(t.n) filter (where t.status = 'forced'), 0)::bigint as forced,
            coalesce(sum(t.first_try) filter (where t.status = 'succeeded'), 0)::bigint as first_try
        from tally t
    )
    select jsonb_build_object(
        'succeeded', t.succeeded, 'failed', t.failed, 'cancelled', t.cancelled, 'forced', t.forced,
        'success_rate', cogo_internal.percentage(t.succeeded, t.succeeded + t.failed),
        'first_try_rate', cogo_internal.percentage(t.first_try, t.succeeded + t.failed),
        'attempts', (select coalesce(sum(a.attempts), 0) from tally a),
        'retried', (select coalesce(sum(a.retried), 0) from tally a),
        'lost', (select coalesce(sum(a.lost), 0) from tally a),
        'by_type', (select coalesce(jsonb_agg(jsonb_build_object('type', b.type, 'succeeded', b.succeeded, 'failed', b.failed)
                                              order by b.succeeded + b.failed desc, b.type), '[]') from (
            select a.type, coalesce(sum(a.n) filter (where a.status = 'succeeded'), 0) as succeeded,
                coalesce(sum(a.n) filter (where a.status = 'failed'), 0) as failed
            from tally a where a.status in ('succeeded', 'failed')
            group by a.type order by sum(a.n) desc, a.type limit 20) b),
        'days', (select coalesce(jsonb_object_agg(to_char(days[d.day], 'YYYY-MM-DD'),
                                                  jsonb_build_object('succeeded', d.succeeded, 'failed', d.failed)), '{}') from (
            select a.day, coalesce(sum(a.n) filter (where a.status = 'succeeded'), 0) as succeeded,
                coalesce(sum(a.n) filter (where a.status = 'failed'), 0) as failed
            from tally a where a.status is not null group by a.day) d))
    into jobs
    from total t;

    waits := cogo_internal.wait_quantiles(parts);

    -- Fingerprints are expensive: messages that differ in digits only share one computation.
    select jsonb_agg(jsonb_build_object('fingerprint', top.fingerprint, 'family', top.family, 'error_class', top.class,
                                        'message', top.message, 'count', top.n) order by top.n desc, top.fingerprint)
    into failures
    from (
        select public.error_fingerprint(f.type, jsonb_build_object('class', f.class, 'message', f.message)) as fingerprint,
            min(split_part(f.type, '.', 1)) as family, coalesce(min(f.class), 'unknown') as class,
            coalesce((array_agg(f.message order by f.largest desc, f.message))[1], '') as message,
            sum(f.n) as n
        from cogo_internal.similar_failures(parts) f group by 1 order by 5 desc, 1 limit 5
    ) top;

    return gates - array['days', 'runs'] || jsonb_build_object(
        'window', jsonb_build_object('start', window_start, 'end', window_end,
                                     'hours', round(date_part('epoch', window_end - window_start)::numeric / 3600, 3)),
        'jobs', jobs - 'days' || jsonb_build_object('queue_wait_seconds', cogo_internal.median_and_p95(waits)),
        'top_failures', coalesce(failures, '[]'),
        'days', (select coalesce(jsonb_agg(jsonb_build_object(
            'day', k.day, 'gate_passed', coalesce((gates #> array['days', k.day] -> 'passed')::bigint, 0),
            'gate_failed', coalesce((gates #> array['days', k.day] -> 'failed')::bigint, 0),
            'jobs_succeeded', coalesce((jobs #> array['days', k.day] -> 'succeeded')::bigint, 0),
            'jobs_failed', coalesce((jobs #> array['days', k.day] -> 'failed')::bigint, 0)) order by k.day), '[]')
            from (select jsonb_object_keys(gates -> 'days') union select jsonb_object_keys(jobs -> 'days')) as k (day)),
        'sources', jsonb_build_object(
            'gate_runs', gates -> 'runs', 'succeeded', (jobs -> 'succeeded')::bigint + (jobs -> 'forced')::bigint,
            'failed', jobs -> 'failed', 'cancelled', jobs -> 'cancelled', 'attempts', jobs -> 'attempts'));
end $$;

comment on function public.gate_summary is 'The numbers of a window: gate runs of a branch, and the jobs.';
