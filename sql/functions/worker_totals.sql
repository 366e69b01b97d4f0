/*
 * The totals of all workers: counters, and the histogram of run times with the bounds of the newest worker (rows with
 * other bounds are of another release and left out, as are malformed ones: see valid_counters).
 *
 * Returns {"counters", "latency": {"bounds_seconds", "counts" per bucket with one more than bounds, "sum_seconds"}},
 * where latency is null as long as no worker has reported.
 */
create or replace function public.worker_totals() returns jsonb
language sql stable set search_path = '' as $$
    with histogram as materialized (
        select m.latency, m.updated_at from public.worker_metrics m
        where case when jsonb_typeof(m.latency -> 'bounds_seconds') = 'array' and jsonb_typeof(m.latency -> 'counts') = 'array'
                    and jsonb_typeof(m.latency -> 'sum_seconds') = 'number'
            then (m.latency -> 'sum_seconds')::numeric between 0 and 1e15
                and not jsonb_path_exists(m.latency, '$.*[*] ? (@.type() != "number" || !(@ >= 0 && @ <= 1000000000000000))') end
    ), newest as (
        select h.latency -> 'bounds_seconds' as bounds from histogram h order by h.updated_at desc limit 1
    ), summed as (
        select c.position, sum(c.value::numeric) as n
        from histogram h
        join newest on h.latency -> 'bounds_seconds' = newest.bounds
        cross join lateral jsonb_array_elements(h.latency -> 'counts') with ordinality as c (value, position)
        group by c.position
    )
    select jsonb_build_object(
        'counters', (select coalesce(jsonb_object_agg(t.name, t.n), '{}') from (
            select c.key as name, sum(c.value::numeric) as n from public.worker_metrics m
            cross join lateral jsonb_each(cogo_internal.valid_counters(m.counters)) as c (key, value) group by c.key) t),
        'latency', (select jsonb_build_object(
            'bounds_seconds', newest.bounds,
            'counts', (select jsonb_agg(s.n order by s.position) from summed s),
            'sum_seconds', (select sum((h.latency -> 'sum_seconds')::numeric) from histogram h
                            where h.latency -> 'bounds_seconds' = newest.bounds))
            from newest))
$$;

comment on function public.worker_totals is 'The totals of all workers.';
