/*
 * Begin a session of the dashboard. Called again with the same hash, it changes nothing.
 * It also deletes sessions that expired more than a day ago.
 *
 * session_hash       SHA-256 of the cookie's value
 * holder             The user's name in the operations log
 * lifetime_seconds   The session expires after this time, or with its token if that is earlier
 * token_id           The named token that opened the session, which has its role; null for the admin token
 * seal               For the admin token only: HMAC-SHA-256 of the cookie's value with it
 *
 * Returns web_session_row. Errors: CQ005.
 */
create or replace function public.open_web_session(
    session_hash text, holder text, lifetime_seconds double precision, token_id uuid default null, seal text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    moment timestamptz := clock_timestamp();
    token public.access_tokens;
    opened public.web_sessions;
begin
    if open_web_session.session_hash is null or open_web_session.session_hash !~ '^[0-9a-f]{64}$' then
        perform cogo_internal.invalid_argument('session_hash must be a SHA-256 in hexadecimal digits.');
    elsif coalesce(open_web_session.holder, '') = '' or length(open_web_session.holder) > 300 then
        perform cogo_internal.invalid_argument('holder must have 1 to 300 characters.');
    elsif open_web_session.lifetime_seconds is null
        or not (open_web_session.lifetime_seconds > 0 and open_web_session.lifetime_seconds <= 2592000) then
        perform cogo_internal.invalid_argument('lifetime_seconds must be more than 0 and at most 30 days.');
    elsif (open_web_session.token_id is null) = (open_web_session.seal is null)
        or open_web_session.seal !~ '^[0-9a-f]{64}$' then
        perform cogo_internal.invalid_argument('Either token_id or a seal of 64 hexadecimal digits must be given.');
    end if;
    if open_web_session.token_id is not null then
        select t.* into token from public.access_tokens t
        where t.id = open_web_session.token_id and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > moment)
        for share;
        if not found then
            perform cogo_internal.invalid_argument('The token is no longer live: log in with another.');
        end if;
    end if;
    -- `skip locked`: a session that is being ended is left to the next call.
    delete from public.web_sessions s where s.id in (
        select old.id from public.web_sessions old where old.expires_at < moment - interval '1 day'
        order by old.id for update skip locked);
    insert into public.web_sessions (id, session_hash, token_id, seal, holder, role, created_at, expires_at)
    values (cogo_internal.time_ordered_id(), open_web_session.session_hash, open_web_session.token_id, open_web_session.seal,
            open_web_session.holder, coalesce(token.role, 'admin'), moment,
            least(moment + make_interval(secs => open_web_session.lifetime_seconds), token.expires_at))
    on conflict do nothing;
    select s.* into opened from public.web_sessions s where s.session_hash = open_web_session.session_hash;
    return cogo_internal.web_session_row(opened);
end $$;

comment on function public.open_web_session is 'Begin a session of the dashboard.';
