/*
 * Store the hash of a new named token. Called again with the same id and hash, it changes nothing.
 *
 * name                 The holder, for the operations log; unique among live tokens
 * role                 "viewer" (reads), "operator" (acts on jobs and alerts too), "admin" (everything)
 * token_hash           SHA-256 of the token, 64 hexadecimal digits; the token itself is never sent to the database
 * expires_in_seconds   Null: the token does not expire
 *
 * Returns access_token_row and "created". Errors: CQ005.
 */
create or replace function public.create_access_token(
    token_id uuid, name text, role text, token_hash text, expires_in_seconds double precision default null,
    actor text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept public.access_tokens;
    moment timestamptz := clock_timestamp();
begin
    if create_access_token.token_id is null then
        perform cogo_internal.invalid_argument('token_id must be a new uuid.');
    elsif create_access_token.name is null or create_access_token.name !~ '^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$' then
        perform cogo_internal.invalid_argument(
            'The name must have 1 to 80 letters, digits or one of . _ @ -, and begin with a letter or digit.');
    elsif create_access_token.role is null or create_access_token.role not in ('viewer', 'operator', 'admin') then
        perform cogo_internal.invalid_argument('The role must be viewer, operator or admin.');
    elsif create_access_token.token_hash is null or create_access_token.token_hash !~ '^[0-9a-f]{64}$' then
        perform cogo_internal.invalid_argument('token_hash must be a SHA-256 in hexadecimal digits.');
    elsif create_access_token.expires_in_seconds is not null
        and not (create_access_token.expires_in_seconds > 0 and create_access_token.expires_in_seconds <= 315360000) then
        perform cogo_internal.invalid_argument('expires_in_seconds must be more than 0 and at most ten years.');
    end if;
    -- An expired token does not reserve its name.
    update public.access_tokens t set revoked_at = t.expires_at
    where t.name = create_access_token.name and t.revoked_at is null and t.expires_at <= moment;
    insert into public.access_tokens (id, name, role, token_hash, created_at, created_by, expires_at)
    values (create_access_token.token_id, create_access_token.name, create_access_token.role,
            create_access_token.token_hash, moment, coalesce(create_access_token.actor, session_user),
            moment + make_interval(secs => create_access_token.expires_in_seconds))
    on conflict do nothing;
    if not found then
        select t.* into kept from public.access_tokens t
        where t.id = create_access_token.token_id and t.token_hash = create_access_token.token_hash;
        if not found then
            perform cogo_internal.invalid_argument(format(
                'There is a token named %s: revoke it first, or choose another name.', create_access_token.name));
        end if;
        return cogo_internal.access_token_row(kept) || jsonb_build_object('created', false);
    end if;
    select t.* into kept from public.access_tokens t where t.id = create_access_token.token_id;
    perform cogo_internal.log_operation(
        jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', kept.created_by), 'create_token',
        jsonb_build_object('name', kept.name, 'role', kept.role, 'expires_at', kept.expires_at),
        '{"matched": 1, "changed": 1, "skipped": 0}');
    return cogo_internal.access_token_row(kept) || jsonb_build_object('created', true);
end $$;

comment on function public.create_access_token is 'Store the hash of a new named token.';
