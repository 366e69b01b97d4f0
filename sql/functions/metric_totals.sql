/*
 * Sums of the counters and histograms of rows of worker_metrics, one row for each list of bounds; `[]` for rows without
 * a valid histogram.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.metric_totals(metrics public.worker_metrics[]) returns setof public.ended_worker_totals
language sql stable set search_path = '' as $$
    with given as materialized (
        select case when valid then m.latency -> 'bounds_seconds' else '[]' end as bounds_seconds,
            case when valid then m.latency -> 'counts' else '[]' end as counts,
            case when valid then (m.latency -> 'sum_seconds')::numeric else 0 end as sum_seconds,
            cogo_internal.valid_counters(m.counters) as counters, m.updated_at
        from unnest(metric_totals.metrics) as m cross join lateral cogo_internal.valid_latency(m.latency) as valid
    ), counter as (
        select g.bounds_seconds, c.key, sum(c.value::numeric) as n
        from given g cross join lateral jsonb_each(g.counters) as c (key, value) group by 1, 2
    ), slot as (
        select g.bounds_seconds, c.position, sum(c.value::numeric) as n
        from given g cross join lateral jsonb_array_elements(g.counts) with ordinality as c (value, position) group by 1, 2
    )
    select g.bounds_seconds,
        (select coalesce(jsonb_object_agg(c.key, c.n), '{}') from counter c where c.bounds_seconds = g.bounds_seconds),
        (select coalesce(jsonb_agg(s.n order by s.position), '[]') from slot s where s.bounds_seconds = g.bounds_seconds),
        sum(g.sum_seconds), max(g.updated_at)
    from given g group by g.bounds_seconds
$$;

comment on function cogo_internal.metric_totals is 'Sums of counters and histograms of worker instances.';
