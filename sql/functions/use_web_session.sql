/*
 * The live session of a cookie; null if there is none. The use of its token is recorded.
 *
 * session_hash   SHA-256 of the cookie's value; null if session_id is given
 * session_id     The session's id, as in signed addresses; no use is recorded then
 *
 * Returns web_session_row. Errors: none.
 */
create or replace function public.use_web_session(session_hash text default null, session_id uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept public.web_sessions;
    row jsonb;
begin
    if use_web_session.session_hash is not null then
        select s.* into kept from public.web_sessions s where s.session_hash = use_web_session.session_hash;
    else
        select s.* into kept from public.web_sessions s where s.id = use_web_session.session_id;
    end if;
    if not found then
        return null;
    end if;
    row := cogo_internal.web_session_row(kept);
    if row is not null and kept.token_id is not null and use_web_session.session_hash is not null then
        perform cogo_internal.record_token_use(kept.token_id);
    end if;
    return row;
end $$;

comment on function public.use_web_session is 'The live session of a cookie.';
