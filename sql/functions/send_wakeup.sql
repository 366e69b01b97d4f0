/*
 * Notify all workers: workers with a connection by NOTIFY and, in a Supabase project, workers without a connection by a
 * broadcast on the private channel `cogo_jobs`. A worker that joins the channel calls this function to check that
 * broadcasts arrive. A lost notification only costs latency.
 *
 * Returns {"broadcast"}: whether this database has Realtime's `realtime.send`. Errors: none.
 */
create or replace function public.send_wakeup() returns jsonb
language plpgsql set search_path = '' as $$
begin
    perform pg_notify('cogo_jobs', '');
    -- Resolved at run time, since most databases do not have it; an error in it must not fail the enqueue.
    if to_regnamespace('realtime') is null then
        return jsonb_build_object('broadcast', false);
    end if;
    begin
        if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null then
            return jsonb_build_object('broadcast', false);
        end if;
        execute 'select realtime.send($1, $2, $3, true)' using '{}'::jsonb, 'wakeup', 'cogo_jobs';
    exception when others then
        return jsonb_build_object('broadcast', false);
    end;
    return jsonb_build_object('broadcast', true);
end $$;

comment on function public.send_wakeup is 'Notify all workers: NOTIFY, and a Realtime broadcast if available.';
