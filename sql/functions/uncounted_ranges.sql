/*
 * The parts of [starts_at, ends_at) that job_periods does not contain.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.uncounted_ranges(starts_at timestamptz, ends_at timestamptz)
returns table (from_time timestamptz, until_time timestamptz)
language sql stable set search_path = '' as $$
    with edge as (
        select p.starts_at as from_time, p.starts_at + interval '10 minutes' as until_time
        from public.job_periods p
        where p.starts_at >= uncounted_ranges.starts_at and p.starts_at <= uncounted_ranges.ends_at - interval '10 minutes'
        union all
        select uncounted_ranges.ends_at, null
    ), gap as (
        select coalesce(lag(e.until_time) over (order by e.from_time), uncounted_ranges.starts_at) as from_time,
            e.from_time as until_time
        from edge e
    )
    select g.from_time, g.until_time from gap g where g.from_time < g.until_time
$$;

comment on function cogo_internal.uncounted_ranges is 'The parts of a range of time that job_periods does not contain.';
