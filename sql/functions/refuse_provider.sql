/*
 * Refuse what is no name of a provider or a capability. Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.refuse_provider(provider text, capability text) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if refuse_provider.provider is null or refuse_provider.provider !~ '^[a-z][a-z0-9._-]{0,62}$' then
        perform cogo_internal.invalid_argument('The provider must be a lower-case word such as openai.');
    elsif refuse_provider.capability is null or refuse_provider.capability !~ '^[a-z][a-z0-9._-]{0,62}$' then
        perform cogo_internal.invalid_argument('The capability must be a lower-case word such as chat.');
    end if;
end $$;

comment on function cogo_internal.refuse_provider is 'Refuse what is no name of a provider or a capability.';
