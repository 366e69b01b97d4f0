/*
 * Add the counters of instances that stopped to ended_worker_totals, at most 1,000 per call, one call at a time; return their
 * number. A stopped instance changes its counters no more: see record_heartbeat.
 *
 * silent_since   also those without a heartbeat since then; their rows must be deleted in the same transaction
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.add_ended_workers(silent_since timestamptz default null) returns integer
language plpgsql set search_path = '' as $$
declare
    ended public.worker_metrics[];
begin
    with chosen as materialized (
        select m.instance_id from public.worker_metrics m
        left join public.workers w on w.instance_id = m.instance_id
        where not m.in_totals and (w.stopped_at is not null
              or add_ended_workers.silent_since > coalesce(w.last_heartbeat_at, m.updated_at))
        order by m.instance_id limit 1000
        for update of m skip locked
    ), added as (
        update public.worker_metrics m set in_totals = true from chosen c where m.instance_id = c.instance_id returning m
    )
    select array_agg(a.m) into ended from added a;
    if ended is null then
        return 0;
    end if;
    insert into public.ended_worker_totals as t select * from cogo_internal.metric_totals(ended)
    on conflict (bounds_seconds) do update set
        counters = (select jsonb_object_agg(c.key, c.n) from (
            select e.key, sum(e.value::numeric) as n
            from (select * from jsonb_each(t.counters) union all select * from jsonb_each(excluded.counters)) e
            group by e.key) c),
        counts = (select coalesce(jsonb_agg(c.n order by c.position), '[]') from (
            select e.position, sum(e.value::numeric) as n
            from (select * from jsonb_array_elements(t.counts) with ordinality
                  union all select * from jsonb_array_elements(excluded.counts) with ordinality) e (value, position)
            group by e.position) c),
        sum_seconds = t.sum_seconds + excluded.sum_seconds, updated_at = greatest(t.updated_at, excluded.updated_at);
    return cardinality(ended);
end $$;

comment on function cogo_internal.add_ended_workers is 'Add the counters of stopped worker instances to their totals.';
