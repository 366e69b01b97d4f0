/*
 * The median and the 95th percentile of durations, as percentile_cont, of which each occurred n times; null without any.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.weighted_quantiles(durations bigint[], n bigint[]) returns double precision[]
language sql immutable set search_path = '' as $$
    with ranked as materialized (
        select v.duration, sum(v.n) over (order by v.duration) as up_to, sum(v.n) over () as total
        from (select v.duration, sum(v.n) as n
              from unnest(weighted_quantiles.durations, weighted_quantiles.n) as v (duration, n) group by 1) v
    ), wanted as (
        select q.position, q.fraction * (t.total - 1) as place
        from (values (1, 0.5), (2, 0.95)) as q (position, fraction)
        cross join (select max(r.total) as total from ranked r) t
    ), found as (
        select w.position, w.place - floor(w.place) as part,
            (select min(r.duration) from ranked r where r.up_to > floor(w.place)) as low,
            (select min(r.duration) from ranked r where r.up_to > ceil(w.place)) as high
        from wanted w
    )
    select array_agg((f.low + f.part * (f.high - f.low))::double precision order by f.position) from found f
$$;

comment on function cogo_internal.weighted_quantiles is 'The median and the 95th percentile of durations.';
