/*
 * The measures of [starts_at, ends_at): stored hours, stored periods that are in none of them, and the rest, read from the
 * jobs. starts_at is a whole hour.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.stored_measures(starts_at timestamptz, ends_at timestamptz) returns setof public.job_measures
language sql stable set search_path = '' set jit = off as $$
    with stored as materialized (
        select m.hours, m.starts_at from public.job_measures m
        where m.starts_at >= stored_measures.starts_at
          and m.starts_at <= stored_measures.ends_at - case m.hours when 0 then interval '10 minutes' else interval '1 hour' end
    ), chosen as materialized (
        select s.hours, s.starts_at from stored s
        where s.hours = 1 or date_trunc('hour', s.starts_at, 'UTC') not in (select h.starts_at from stored h where h.hours = 1)
    ), edge as (
        select c.starts_at as from_time,
            c.starts_at + case c.hours when 0 then interval '10 minutes' else interval '1 hour' end as until_time
        from chosen c
        union all
        select stored_measures.ends_at, null
    ), gap as (
        select coalesce(lag(e.until_time) over (order by e.from_time), stored_measures.starts_at) as from_time,
            e.from_time as until_time
        from edge e
    )
    select m.* from public.job_measures m join chosen c on (m.hours, m.starts_at) = (c.hours, c.starts_at)
    union all
    select n.* from gap g cross join lateral cogo_internal.measure_jobs(g.from_time, g.until_time) n
    where g.from_time < g.until_time
$$;

comment on function cogo_internal.stored_measures is 'The measures of a range of time, most of them stored.';
