/*
 * A session as the web server needs it; null if it has ended or expired, or its token is no longer live.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.web_session_row(session public.web_sessions) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', session.id, 'session_hash', session.session_hash, 'token_id', session.token_id, 'seal', session.seal,
        'holder', session.holder, 'role', session.role, 'created_at', session.created_at,
        'expires_at', session.expires_at)
    where session.ended_at is null and session.expires_at > clock_timestamp()
      and (session.token_id is null or exists (
          select from public.access_tokens t
          where t.id = session.token_id and t.revoked_at is null
            and (t.expires_at is null or t.expires_at > clock_timestamp())))
$$;

comment on function cogo_internal.web_session_row is 'A live session.';
