/*
 * Whether another worker of the same name was started in place of this one, which fell silent: as many were started after
 * its last heartbeat as are silent since then, with this one. A worker that was started earlier is another worker, and so
 * is one in a Dagster run if this one is not in a run.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.worker_is_replaced(worker public.workers) returns boolean
language sql stable set search_path = '' as $$
    -- Two counts, each by an index: there may be many earlier workers of the name.
    select (select count(*) from public.workers other
            where other.worker_id = (worker_is_replaced.worker).worker_id
              and other.started_at > (worker_is_replaced.worker).last_heartbeat_at
              and other.instance_id <> (worker_is_replaced.worker).instance_id
              and (other.dagster_run_id is null) = ((worker_is_replaced.worker).dagster_run_id is null))
        >= (select count(*) from public.workers other
            where other.worker_id = (worker_is_replaced.worker).worker_id
              and other.stopped_at is null and other.last_heartbeat_at >= (worker_is_replaced.worker).last_heartbeat_at
              and not cogo_internal.worker_is_alive(other)
              and (other.dagster_run_id is null) = ((worker_is_replaced.worker).dagster_run_id is null))
$$;

comment on function cogo_internal.worker_is_replaced is 'Whether a later worker of the same name was started in place of this one.';
