/*
 * Whether a worker instance is alive: not stopped, not stuck, and no more than three heartbeats missed.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.worker_is_alive(worker public.workers) returns boolean
language sql stable as $$
    select worker.stopped_at is null and worker.stuck_reason is null
        and worker.last_heartbeat_at > pg_catalog.clock_timestamp() - 3 * pg_catalog.make_interval(secs => least(greatest(worker.heartbeat_seconds, 0), 86400))
$$;

comment on function cogo_internal.worker_is_alive is 'Whether a worker instance is neither stopped, stuck nor silent.';
