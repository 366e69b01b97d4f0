/*
 * Check the environment and the reference of a secret. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_reference(environment text, reference text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if check_reference.environment is null or check_reference.environment !~ '^[a-z][a-z0-9_-]{0,30}$' then
        perform cogo_internal.invalid_argument('The environment must be a lower-case word such as dev or prod.');
    elsif check_reference.reference is null
        or check_reference.reference !~ '^[a-z][a-z0-9_-]{0,62}(:[a-z][a-z0-9_-]{0,62}){2}$' then
        perform cogo_internal.invalid_argument('The reference must be provider:usage:name in lower case, such as quality:notify:admin_token.');
    end if;
end $$;

comment on function cogo_internal.check_reference is 'Check the environment and the reference of a secret.';
