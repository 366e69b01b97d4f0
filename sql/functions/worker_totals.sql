/*
 * The totals of all workers: counters, and the histogram of run times with the bounds of the newest worker (rows with
 * other bounds are of another release and left out, as are malformed ones: see valid_counters).
 *
 * Reads the instances that are not yet in ended_worker_totals, and the totals of the others.
 *
 * Returns {"counters", "latency": {"bounds_seconds", "counts" per bucket with one more than bounds, "sum_seconds"}},
 * where latency is null as long as no worker has reported.
 */
create or replace function public.worker_totals() returns jsonb
language sql stable set search_path = '' as $$
    with total as materialized (
        select t.* from public.ended_worker_totals t
        union all
        select t.* from cogo_internal.metric_totals(
            array(select m from public.worker_metrics m where not m.in_totals)) t
    ), newest as (
        select t.bounds_seconds as bounds from total t
        where t.bounds_seconds <> '[]' or t.counts <> '[]' order by t.updated_at desc limit 1
    ), summed as (
        select c.position, sum(c.value::numeric) as n
        from total t
        join newest on t.bounds_seconds = newest.bounds
        cross join lateral jsonb_array_elements(t.counts) with ordinality as c (value, position)
        group by c.position
    )
    select jsonb_build_object(
        'counters', (select coalesce(jsonb_object_agg(c.name, c.n), '{}') from (
            select c.key as name, sum(c.value::numeric) as n from total t
            cross join lateral jsonb_each(t.counters) as c (key, value) group by c.key) c),
        'latency', (select jsonb_build_object(
            'bounds_seconds', newest.bounds,
            'counts', (select jsonb_agg(s.n order by s.position) from summed s),
            'sum_seconds', (select sum(t.sum_seconds) from total t where t.bounds_seconds = newest.bounds))
            from newest))
$$;

comment on function public.worker_totals is 'The totals of all workers.';
