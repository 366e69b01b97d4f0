/*
 * Replace the ciphertext of secrets that the caller encrypted with another key.
 * A secret whose value was set since, or which is already encrypted with this key, is skipped: safe to repeat.
 *
 * secrets     [{"environment", "reference", "version", "ciphertext"}]: the version that was read
 * key_id      The key they are encrypted with now
 * Returns {"matched", "changed", "skipped"}. Errors: CQ005.
 */
create or replace function public.rotate_secrets(secrets jsonb, key_id text, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    matched integer;
    changed integer;
    result jsonb;
begin
    if jsonb_typeof(rotate_secrets.secrets) is distinct from 'array' or rotate_secrets.key_id is null
       or rotate_secrets.key_id !~ '^[0-9a-f]{12}$' then
        perform cogo_internal.invalid_argument('secrets must be a list, and key_id must have 12 hexadecimal digits.');
    elsif exists (select from jsonb_array_elements(rotate_secrets.secrets) rotated
                  where (rotated ->> 'ciphertext' ~ '^gAAAA[A-Za-z0-9_-]{60,}={0,2}$') is not true) then
        perform cogo_internal.invalid_argument('Each ciphertext must be a Fernet token: encrypt the value before storing it.');
    end if;
    matched := jsonb_array_length(rotate_secrets.secrets);
    with rotated as (
        select g.* from jsonb_to_recordset(rotate_secrets.secrets)
            as g (environment text, reference text, version integer, ciphertext text)
    ), held as (
        -- In one order for all callers, so that two rotations cannot deadlock.
        select s.environment, s.reference, rotated.ciphertext from public.secrets s
        join rotated on rotated.environment = s.environment and rotated.reference = s.reference and rotated.version = s.version
        where s.key_id <> rotate_secrets.key_id
        order by s.environment, s.reference
        for update of s
    )
    update public.secrets s set ciphertext = held.ciphertext, key_id = rotate_secrets.key_id
    from held where s.environment = held.environment and s.reference = held.reference;
    get diagnostics changed = row_count;
    result := jsonb_build_object('matched', matched, 'changed', changed, 'skipped', matched - changed);
    if changed > 0 then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(rotate_secrets.actor, session_user)),
            'rotate_secrets', jsonb_build_object('key_id', rotate_secrets.key_id), result);
    end if;
    return result;
end $$;

comment on function public.rotate_secrets is 'Replace the ciphertext of secrets that were encrypted with another key.';
