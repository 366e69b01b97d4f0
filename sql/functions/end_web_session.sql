/*
 * End a session, on every server. Returns {"changed"}: `changed` is false if the session had already ended or does not
 * exist. Errors: none.
 */
create or replace function public.end_web_session(session_hash text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    update public.web_sessions s set ended_at = clock_timestamp()
    where s.session_hash = end_web_session.session_hash and s.ended_at is null;
    return jsonb_build_object('changed', found);
end $$;

comment on function public.end_web_session is 'End a session of the dashboard.';
