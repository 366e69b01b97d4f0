/*
 * Store the numbers of finished jobs in job_periods, ten minutes each, and their sums by hour and day in job_period_sums,
 * their durations and error classes in job_measures (see roll_up_measures), and
 * add the counters of worker instances that stopped to ended_worker_totals. Workers call it every minute; what is not yet
 * stored is counted from the rows.
 *
 * A period is stored once its rows cannot change: it ended five minutes before a mark, and every transaction that was
 * in progress at the mark has ended. The newest periods first, for max_seconds, at most 31 days back.
 *
 * Safe to call at any time; concurrent calls do nothing. Returns {"periods", "workers", "more"}. Errors: CQ005.
 */
create or replace function public.roll_up_jobs(max_seconds double precision default 0.5) returns jsonb
language plpgsql set search_path = '' set timezone = 'UTC' as $$
declare
    span constant interval := interval '10 minutes';
    began constant timestamptz := clock_timestamp();
    closed timestamptz;
    first timestamptz;
    period timestamptz;
    has_jobs boolean;
    span_hours integer;
    periods integer := 0;
    folded integer;
    more boolean := false;
begin
    if roll_up_jobs.max_seconds is null or roll_up_jobs.max_seconds not between 0 and 3600 then
        perform cogo_internal.invalid_argument('max_seconds must be 0 to 3600.');
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended('cogo.roll_up_jobs', 0)) then
        return '{"periods": 0, "workers": 0, "more": false}';
    end if;
    folded := cogo_internal.add_ended_workers();
    -- The newest mark that all transactions of its time have outlived; older ones are of no more use.
    select max(m.marked_at) into closed from public.job_period_marks m
    where m.next_transaction <= pg_snapshot_xmin(pg_current_snapshot());
    delete from public.job_period_marks m where m.marked_at < closed;
    insert into public.job_period_marks (marked_at, next_transaction)
    select began, pg_current_xact_id()  -- higher than the IDs of all transactions in progress
    where (select count(*) from public.job_period_marks) < 10
    on conflict do nothing;

    first := greatest(began - interval '31 days', coalesce(date_bin(span, least(
        (select min(j.finished_at) from public.jobs j where j.status = 'succeeded'),
        (select min(j.finished_at) from public.jobs j where j.status = 'failed'),
        (select min(j.finished_at) from public.jobs j where j.status = 'cancelled'),
        (select min(a.finished_at) from public.job_attempts a)), timestamptz 'epoch'), 'infinity'));
    for period, has_jobs in
        select s.starts_at, cogo_internal.has_finished_jobs(s.starts_at, s.starts_at + span)
        from generate_series(date_bin(span, closed - interval '5 minutes', timestamptz 'epoch') - span,
                             first, -span) as s (starts_at)
        where not exists (select from public.job_periods p where p.starts_at = s.starts_at)
        order by s.starts_at desc
    loop
        if clock_timestamp() - began > make_interval(secs => roll_up_jobs.max_seconds) then
            more := true;
            exit;
        end if;
        if has_jobs then
            insert into public.job_periods select n.* from cogo_internal.job_numbers(period, period + span) n
            on conflict do nothing;
        else  -- job_numbers takes a millisecond to plan
            insert into public.job_periods (starts_at, succeeded, tally, wait_ms, wait_n, failures)
            values (period, 0, '[]', '{}', '{}', '[]')
            on conflict do nothing;
        end if;
        periods := periods + 1;
    end loop;
    for span_hours, period in
        select s.hours, date_bin(make_interval(hours => s.hours), p.starts_at, timestamptz 'epoch') as starts_at
        from public.job_periods p cross join (values (1), (24)) as s (hours)
        where p.starts_at >= began - interval '31 days'
        group by 1, 2
        having count(*) = s.hours * 6
           and not exists (select from public.job_period_sums k
                           where k.hours = s.hours
                             and k.starts_at = date_bin(make_interval(hours => s.hours), min(p.starts_at), timestamptz 'epoch'))
        order by 2 desc
    loop
        if clock_timestamp() - began > make_interval(secs => roll_up_jobs.max_seconds) then
            more := true;
            exit;
        end if;
        insert into public.job_period_sums (hours, starts_at, succeeded, tally, wait_ms, wait_n, failures)
        select span_hours, n.*
        from (select array_agg(p) as parts from public.job_periods p
              where p.starts_at >= period and p.starts_at < period + make_interval(hours => span_hours)) whole,
            cogo_internal.sum_of_periods(period, whole.parts) n
        on conflict do nothing;
    end loop;
    more := cogo_internal.roll_up_measures(closed - interval '5 minutes', began + make_interval(secs => roll_up_jobs.max_seconds)) or more;
    return jsonb_build_object('periods', periods, 'workers', folded, 'more', more);
end $$;

comment on function public.roll_up_jobs is 'Store the numbers of finished jobs, for days and weeks.';
