/*
 * The number of jobs that have succeeded since a time: stored periods, and the rows of the rest.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.succeeded_since(starts_at timestamptz) returns bigint
language sql stable set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
    select (select coalesce(sum(p.succeeded), 0) from public.job_periods p where p.starts_at >= succeeded_since.starts_at)::bigint
        + (select coalesce(sum(counted.n), 0)
           from cogo_internal.uncounted_ranges(succeeded_since.starts_at, 'infinity') r
           cross join lateral (
               select count(*) as n from public.jobs j
               where j.status = 'succeeded' and j.finished_at >= r.from_time and j.finished_at < r.until_time) counted)::bigint
$$;

comment on function cogo_internal.succeeded_since is 'The number of jobs that have succeeded since a time.';
