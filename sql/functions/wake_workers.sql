/*
 * Tell idle workers that something is due. Silent while nobody is idle: a NOTIFY per enqueue would make
 * commits queue behind one another. Polling is the truth; this only shortens the wait. Errors: none.
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

comment on function cogo_internal.wake_workers is 'Call the workers if a living one says it is idle.';
