/*
 * Revoke a named token and end every session that was opened with it.
 *
 * Returns {"name", "changed", "sessions"}: `changed` is false if no live token has the name, `sessions` counts those
 * that ended. Errors: CQ005.
 */
create or replace function public.revoke_access_token(name text, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    revoked uuid;
    ended integer := 0;
begin
    if revoke_access_token.name is null then
        perform cogo_internal.invalid_argument('name must be the name of a token.');
    end if;
    update public.access_tokens t
    set revoked_at = clock_timestamp(), revoked_by = coalesce(revoke_access_token.actor, session_user)
    where t.name = revoke_access_token.name and t.revoked_at is null
    returning t.id into revoked;
    if revoked is not null then
        update public.web_sessions s set ended_at = clock_timestamp() where s.token_id = revoked and s.ended_at is null;
        get diagnostics ended = row_count;
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(revoke_access_token.actor, session_user)),
            'revoke_token', jsonb_build_object('name', revoke_access_token.name),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    return jsonb_build_object('name', revoke_access_token.name, 'changed', revoked is not null, 'sessions', ended);
end $$;

comment on function public.revoke_access_token is 'Revoke a named token and end its sessions.';
