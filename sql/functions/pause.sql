/*
 * Stop claims of a type (and of its subtypes: browser includes browser.pdf) or by an executor id. Running jobs
 * continue. Jobs can still be enqueued, and wait until `resume` is called.
 *
 * kind    "type" or "executor"
 * Returns {"kind", "name", "paused_at", "changed", "known"}; `changed` is false if it was already paused, `known` if no
 * worker or job has the name, which may be misspelt. Errors: CQ005.
 */
create or replace function public.pause(kind text, name text, reason text default null, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    found_row public.paused;
    added boolean;
begin
    perform cogo_internal.check_pausable(pause.kind, pause.name);
    insert into public.paused as p (kind, name, reason, actor)
    values (pause.kind, pause.name, left(pause.reason, 1000), left(coalesce(pause.actor, session_user), 200))
    on conflict do nothing;
    added := found;
    if added then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(pause.actor, session_user)), 'pause',
            jsonb_build_object('kind', pause.kind, 'name', pause.name, 'reason', left(pause.reason, 1000)),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    select * into found_row from public.paused p where p.kind = pause.kind and p.name = pause.name;
    return jsonb_build_object('kind', pause.kind, 'name', pause.name, 'paused_at', found_row.paused_at, 'changed', added,
                              'known', cogo_internal.is_known_name(pause.kind, pause.name));
end $$;

comment on function public.pause is 'Stop claims of a type or by an executor.';
