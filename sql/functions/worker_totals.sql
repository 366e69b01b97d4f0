/*
 * What all workers ever counted, added up: counters, and the histogram of run times with the bounds of the newest worker
 * (rows with other bounds are of another release and are left out of it).
 *
 * Returns {"counters", "latency": {"bounds_seconds", "counts" per bucket with one more than bounds, "sum_seconds"}},
 * where latency is null as long as no worker has reported.
 */
create or replace function public.worker_totals() returns jsonb
language sql stable set search_path = '' as $$
    with newest as (
        select m.latency -> 'bounds_seconds' as bounds from public.worker_metrics m
        where jsonb_typeof(m.latency -> 'bounds_seconds') = 'array' order by m.updated_at desc limit 1
    ), summed as (
        select c.position, sum(c.value::numeric) as n
        from public.worker_metrics m
        join newest on m.latency -> 'bounds_seconds' = newest.bounds
        cross join lateral jsonb_array_elements_text(m.latency -> 'counts') with ordinality as c (value, position)
        group by c.position
    )
    select jsonb_build_object(
        'counters', (select coalesce(jsonb_object_agg(t.name, t.n), '{}') from (
            select c.key as name, sum(c.value::numeric) as n from public.worker_metrics m
            cross join lateral jsonb_each_text(m.counters) as c group by c.key) t),
        'latency', (select jsonb_build_object(
            'bounds_seconds', newest.bounds,
            'counts', (select jsonb_agg(s.n order by s.position) from summed s),
            'sum_seconds', (select sum((m.latency ->> 'sum_seconds')::numeric) from public.worker_metrics m
                            where m.latency -> 'bounds_seconds' = newest.bounds))
            from newest))
$$;

comment on function public.worker_totals is 'What all workers ever counted, added up.';
