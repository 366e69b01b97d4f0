/*
 * Check the names of a provider and a capability. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_provider(provider text, capability text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if check_provider.provider is null or check_provider.provider !~ '^[a-z][a-z0-9._-]{0,62}$' then
        perform cogo_internal.invalid_argument('The provider must be a lower-case word such as openai.');
    elsif check_provider.capability is null or check_provider.capability !~ '^[a-z][a-z0-9._-]{0,62}$' then
        perform cogo_internal.invalid_argument('The capability must be a lower-case word such as chat.');
    end if;
end $$;

comment on function cogo_internal.check_provider is 'Check the names of a provider and a capability.';
