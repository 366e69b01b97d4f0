/*
 * One secret with its ciphertext; null if no secret has this reference. Returns {"environment", "reference", "key_id",
 * "version", "created_at", "updated_at", "ciphertext"}. Errors: CQ005.
 */
create or replace function public.get_secret(environment text, reference text) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    perform cogo_internal.check_reference(get_secret.environment, get_secret.reference);
    return (
        select cogo_internal.secret_row(s) || jsonb_build_object('ciphertext', s.ciphertext) from public.secrets s
        where s.environment = get_secret.environment and s.reference = get_secret.reference);
end $$;

comment on function public.get_secret is 'One secret, with its ciphertext.';
