/*
 * The median and the 95th percentile of the waits of all periods, as percentile_cont, in seconds.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.wait_quantiles(parts public.job_periods[]) returns double precision[]
language sql immutable set search_path = '' as $$
    with wait as (
        select w.ms, sum(w.n) as n from unnest(wait_quantiles.parts) as p
        cross join lateral unnest(p.wait_ms, p.wait_n) as w (ms, n)
        group by w.ms
    ), ranked as materialized (
        select w.ms, sum(w.n) over (order by w.ms) as up_to, sum(w.n) over () as total from wait w
    ), wanted as (
        select q.position, q.fraction * (t.total - 1) as place
        from (values (1, 0.5), (2, 0.95)) as q (position, fraction)
        cross join (select max(r.total) as total from ranked r) t
    ), found as (
        select w.position, w.place - floor(w.place) as part,
            (select min(r.ms) from ranked r where r.up_to > floor(w.place)) as low,
            (select min(r.ms) from ranked r where r.up_to > ceil(w.place)) as high
        from wanted w
    )
    select array_agg(((f.low + f.part * (f.high - f.low)) / 1000)::double precision order by f.position) from found f
$$;

comment on function cogo_internal.wait_quantiles is 'The median and the 95th percentile of waits.';
