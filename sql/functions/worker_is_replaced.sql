/*
 * Whether a worker of the same name that started after the last heartbeat of this one is alive or was stopped.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.worker_is_replaced(worker public.workers) returns boolean
language sql stable set search_path = '' as $$
    select exists (
        select from public.workers later
        where later.worker_id = (worker_is_replaced.worker).worker_id
          and later.started_at > (worker_is_replaced.worker).last_heartbeat_at
          and (cogo_internal.worker_is_alive(later) or later.stopped_at is not null))
$$;

comment on function cogo_internal.worker_is_replaced is 'Whether a later worker of the same name replaced this one.';
