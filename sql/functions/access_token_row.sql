/*
 * A named token without its hash, as lists show it. `state` is live, expired or revoked.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.access_token_row(token public.access_tokens) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', token.id, 'name', token.name, 'role', token.role,
        'state', case when token.revoked_at is not null then 'revoked'
                      when token.expires_at <= clock_timestamp() then 'expired' else 'live' end,
        'created_at', token.created_at, 'created_by', token.created_by, 'expires_at', token.expires_at,
        'last_used_at', token.last_used_at, 'revoked_at', token.revoked_at, 'revoked_by', token.revoked_by)
$$;

comment on function cogo_internal.access_token_row is 'A named token without its hash.';
