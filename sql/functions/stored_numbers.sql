/*
 * The stored numbers of [starts_at, ends_at): days, hours that are not in such a day, and periods that are in neither.
 *
 * max_hours   24; 1 without days
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.stored_numbers(starts_at timestamptz, ends_at timestamptz, max_hours integer default 24)
returns setof public.job_periods
language sql stable set search_path = '' set jit = off as $$
    with day as materialized (
        select s.starts_at from public.job_period_sums s
        where s.hours = 24 and stored_numbers.max_hours >= 24
          and s.starts_at >= stored_numbers.starts_at and s.starts_at <= stored_numbers.ends_at - interval '1 day'
    ), hour as materialized (
        select s.starts_at from public.job_period_sums s
        where s.hours = 1 and s.starts_at >= stored_numbers.starts_at and s.starts_at <= stored_numbers.ends_at - interval '1 hour'
          and date_bin(interval '1 day', s.starts_at, timestamptz 'epoch') not in (select d.starts_at from day d)
    )
    select s.starts_at, s.succeeded, s.tally, s.wait_ms, s.wait_n, s.failures
    from public.job_period_sums s join (select 24, d.starts_at from day d union all select 1, h.starts_at from hour h) as k (hours, starts_at)
        on (s.hours, s.starts_at) = (k.hours, k.starts_at)
    union all
    select p.* from public.job_periods p
    where p.starts_at >= stored_numbers.starts_at and p.starts_at <= stored_numbers.ends_at - interval '10 minutes'
      and date_bin(interval '1 day', p.starts_at, timestamptz 'epoch') not in (select d.starts_at from day d)
      and date_bin(interval '1 hour', p.starts_at, timestamptz 'epoch') not in (select h.starts_at from hour h)
$$;

comment on function cogo_internal.stored_numbers is 'The stored numbers of a range of time.';
