/*
 * Notify idle workers that a job is due. It sends nothing while no worker is idle: a NOTIFY per enqueue would serialize
 * commits. Workers poll anyway; this only shortens the wait. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.wake_workers() returns jsonb
language plpgsql set search_path = '' as $$
begin
    if exists (select from public.workers w
               where w.idle and cogo_internal.worker_is_alive(w)) then
        perform public.send_wakeup();
        return 'true';
    end if;
    return 'false';
end $$;

comment on function cogo_internal.wake_workers is 'Notify workers if a live one is idle.';
