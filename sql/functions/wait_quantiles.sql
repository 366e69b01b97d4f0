/*
 * The median and the 95th percentile of the waits of all periods, as percentile_cont, in seconds.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.wait_quantiles(parts public.job_periods[]) returns double precision[]
language sql immutable set search_path = '' as $$
    select array[q.ms[1] / 1000, q.ms[2] / 1000]
    from (select array_agg(w.ms) as ms, array_agg(w.n) as n
          from unnest(wait_quantiles.parts) as p cross join lateral unnest(p.wait_ms, p.wait_n) as w (ms, n)) wait
    cross join lateral cogo_internal.weighted_quantiles(wait.ms, wait.n) as q (ms)
$$;

comment on function cogo_internal.wait_quantiles is 'The median and the 95th percentile of waits.';
