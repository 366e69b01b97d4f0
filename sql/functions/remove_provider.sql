/*
 * Remove a provider from the router, for one capability or, without one, for all, together with its health.
 * Returns {"provider", "changed"}: how many capabilities were removed.
 */
create or replace function public.remove_provider(provider text, capability text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    removed integer;
begin
    -- In the same order for all callers, and as in record_provider_health.
    perform from public.provider_health h where h.provider = remove_provider.provider
    order by h.provider, h.capability for update;
    perform from public.providers p where p.provider = remove_provider.provider order by p.capability for update;
    delete from public.providers p
    where p.provider = remove_provider.provider
      and (remove_provider.capability is null or p.capability = remove_provider.capability);
    get diagnostics removed = row_count;
    delete from public.provider_health h
    where h.provider = remove_provider.provider
      and (remove_provider.capability is null or h.capability = remove_provider.capability);
    return jsonb_build_object('provider', remove_provider.provider, 'changed', removed);
end $$;

comment on function public.remove_provider is 'Remove a provider from the router.';
