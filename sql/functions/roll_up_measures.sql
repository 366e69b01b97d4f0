/*
 * A part of roll_up_jobs: store the measures of the periods of the last eight days that ended before `closed`, the newest
 * first, and of their hours. It stops at `until`. Returns whether something is left.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.roll_up_measures(closed timestamptz, until timestamptz) returns boolean
language plpgsql set search_path = '' set timezone = 'UTC' as $$
declare
    span constant interval := interval '10 minutes';
    oldest constant timestamptz := date_trunc('hour', clock_timestamp() - interval '8 days');
    period timestamptz;
    has_jobs boolean;
begin
    for period, has_jobs in
        select s.starts_at, cogo_internal.has_finished_jobs(s.starts_at, s.starts_at + span)
        from generate_series(date_bin(span, roll_up_measures.closed, timestamptz 'epoch') - span, oldest, -span) as s (starts_at)
        where not exists (select from public.job_measures m where m.hours = 0 and m.starts_at = s.starts_at)
          -- Nothing finished before the oldest stored period, unless it was purged.
          and s.starts_at >= (select min(p.starts_at) from public.job_periods p)
        order by s.starts_at desc
    loop
        if clock_timestamp() > roll_up_measures.until then
            return true;
        end if;
        if has_jobs then
            insert into public.job_measures select n.* from cogo_internal.measure_jobs(period, period + span) n
            on conflict do nothing;
        else
            insert into public.job_measures (hours, starts_at, run_family, run_us, run_n, wait_us, wait_n, errors)
            values (0, period, '{}', '{}', '{}', '{}', '{}', '[]')
            on conflict do nothing;
        end if;
    end loop;
    for period in
        select date_trunc('hour', m.starts_at) from public.job_measures m where m.hours = 0
        group by 1
        having count(*) = 6 and not exists (select from public.job_measures h
                                            where h.hours = 1 and h.starts_at = date_trunc('hour', min(m.starts_at)))
        order by 1 desc
    loop
        if clock_timestamp() > roll_up_measures.until then
            return true;
        end if;
        insert into public.job_measures
        select n.* from (select array_agg(m) as parts from public.job_measures m
                         where m.hours = 0 and m.starts_at >= period and m.starts_at < period + interval '1 hour') whole,
            cogo_internal.add_measures(1, period, whole.parts) n
        on conflict do nothing;
    end loop;
    return false;
end $$;

comment on function cogo_internal.roll_up_measures is 'Store the measures of finished jobs.';
