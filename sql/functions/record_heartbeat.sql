/*
 * Record that a worker instance is alive: its heartbeat, how many jobs it runs and its counters, which are totals since
 * its start (so that repeating the call changes nothing). Heartbeats older than a day are deleted.
 *
 * A delayed call that arrives after a later one changes no counter, and one that arrives after stop_worker changes
 * nothing.
 *
 * metrics   {"counters": {"claimed": 10, …}, "latency": {"bounds_seconds": […], "counts": […], "sum_seconds": …}}, numbers
 *           from 0: see check_metrics
 *
 * Returns {"known"}: false if the row is gone and the worker must register again. Errors: CQ005.
 */
create or replace function public.record_heartbeat(instance_id uuid, running integer, metrics jsonb default '{}') returns jsonb
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    worker public.workers;
    counters jsonb := coalesce(record_heartbeat.metrics -> 'counters', '{}');
begin
    perform cogo_internal.check_metrics(record_heartbeat.metrics);
    if record_heartbeat.running is null or record_heartbeat.running not between 0 and 1000000 then
        perform cogo_internal.invalid_argument('running must be 0 to 1000000.');
    end if;
    update public.workers w set last_heartbeat_at = at, running = record_heartbeat.running
    where w.instance_id = record_heartbeat.instance_id and w.stopped_at is null
    returning w.* into worker;
    if not found then
        return jsonb_build_object('known', exists (
            select from public.workers w where w.instance_id = record_heartbeat.instance_id));
    end if;

    insert into public.worker_metrics as m (instance_id, worker_id, counters, latency, updated_at)
    values (worker.instance_id, worker.worker_id, counters, coalesce(record_heartbeat.metrics -> 'latency', '{}'), at)
    on conflict (instance_id) do update
    set counters = excluded.counters, latency = excluded.latency, updated_at = at
    -- Totals only grow, so a smaller sum was sent earlier.
    where (select coalesce(sum(c.value::numeric), 0) from jsonb_each_text(excluded.counters) as c)
       >= (select coalesce(sum(c.value::numeric), 0) from jsonb_each_text(cogo_internal.valid_counters(m.counters)) as c);
    if not found then
        return '{"known": true}';
    end if;

    insert into public.worker_heartbeats (worker_id, instance_id, running, metrics, created_at)
    values (worker.worker_id, worker.instance_id, record_heartbeat.running, counters, at);
    delete from public.worker_heartbeats h
    where h.id in (
        select old.id from public.worker_heartbeats old
        where old.worker_id = worker.worker_id and old.created_at < at - interval '1 day'
        order by old.id for update skip locked);
    return '{"known": true}';
end $$;

comment on function public.record_heartbeat is 'Record the heartbeat and the counters of a worker instance.';
