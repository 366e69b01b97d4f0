/*
 * Call all workers, over each way there is: NOTIFY for those with a connection, and, in a Supabase project, a
 * broadcast on the private channel `cogo_jobs` for those without one. A worker that joins the channel asks for a call
 * to see whether calls arrive. Losing one costs latency only.
 *
 * Returns {"broadcast"}: whether this database has Realtime's `realtime.send`. Errors: none.
 */
create or replace function public.send_wakeup() returns jsonb
language plpgsql set search_path = '' as $$
begin
    perform pg_notify('cogo_jobs', '');
    -- By name at run time, since most databases do not have it; and whatever it says, the enqueue stands.
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

comment on function public.send_wakeup is 'Call all workers: NOTIFY, and a Realtime broadcast where there is one.';
