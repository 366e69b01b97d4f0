/*
 * Store a secret that the caller encrypted, in place of the previous one of this reference.
 * Called again with the same ciphertext, it changes nothing.
 *
 * ciphertext   A Fernet token; anything else is rejected, so that no plaintext is stored by mistake
 * key_id       Which key it was encrypted with: 12 hexadecimal digits
 * Returns {"environment", "reference", "key_id", "version", "created_at", "updated_at", "created", "changed"}.
 * Errors: CQ005.
 */
create or replace function public.set_secret(
    environment text, reference text, ciphertext text, key_id text, actor text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept public.secrets;
    changed boolean;
begin
    perform cogo_internal.check_reference(set_secret.environment, set_secret.reference);
    if set_secret.ciphertext is null or set_secret.ciphertext !~ '^gAAAA[A-Za-z0-9_-]{60,}={0,2}$'
       or length(set_secret.ciphertext) > 100000 then
        perform cogo_internal.invalid_argument('The ciphertext must be a Fernet token: encrypt the value before storing it.');
    elsif set_secret.key_id is null or set_secret.key_id !~ '^[0-9a-f]{12}$' then
        perform cogo_internal.invalid_argument('key_id must have 12 hexadecimal digits.');
    end if;
    insert into public.secrets as s (environment, reference, ciphertext, key_id)
    values (set_secret.environment, set_secret.reference, set_secret.ciphertext, set_secret.key_id)
    on conflict on constraint secrets_pkey do update set
        ciphertext = excluded.ciphertext, key_id = excluded.key_id, version = s.version + 1,
        updated_at = clock_timestamp()
    where s.ciphertext <> excluded.ciphertext;
    changed := found;
    select * into kept from public.secrets s
    where s.environment = set_secret.environment and s.reference = set_secret.reference;
    if changed then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(set_secret.actor, session_user)),
            'set_secret', jsonb_build_object('environment', set_secret.environment, 'reference', set_secret.reference),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    return cogo_internal.secret_row(kept) || jsonb_build_object('created', kept.version = 1, 'changed', changed);
end $$;

comment on function public.set_secret is 'Store a secret that the caller encrypted.';
