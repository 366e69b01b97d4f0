/*
 * A secret without its ciphertext, as lists show it.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.secret_row(secret public.secrets) returns jsonb
language sql stable as $$
    select pg_catalog.jsonb_build_object(
        'environment', secret.environment, 'reference', secret.reference, 'key_id', secret.key_id,
        'version', secret.version, 'created_at', secret.created_at, 'updated_at', secret.updated_at)
$$;

comment on function cogo_internal.secret_row is 'A secret without its ciphertext.';
