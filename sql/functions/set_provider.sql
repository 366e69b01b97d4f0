/*
 * Register a provider for a capability, or change it. Null arguments leave their columns unchanged.
 *
 * probe_url   What health probes fetch: http or https
 * cost        In any unit that all providers of this capability share; the cheapest healthy one is chosen
 * enabled     False: never chosen, not probed
 * Returns {"provider", "capability", "probe_url", "cost", "enabled", "created_at", "updated_at"}. Errors: CQ005.
 */
create or replace function public.set_provider(
    provider text, capability text, probe_url text default null, cost double precision default null,
    enabled boolean default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    kept public.providers;
begin
    perform cogo_internal.check_provider(set_provider.provider, set_provider.capability);
    if set_provider.probe_url !~ '^https?://[^[:space:]@]+$' or length(set_provider.probe_url) > 2000 then
        perform cogo_internal.invalid_argument('The probe address must begin with http:// or https:// and contain no user name.');
    elsif set_provider.cost < 0 or set_provider.cost in ('Infinity', 'NaN') then
        perform cogo_internal.invalid_argument('The cost must be 0 or more.');
    end if;
    insert into public.providers as p (provider, capability, probe_url, cost, enabled)
    values (set_provider.provider, set_provider.capability, set_provider.probe_url,
            coalesce(set_provider.cost, 0), coalesce(set_provider.enabled, true))
    on conflict on constraint providers_pkey do update set
        probe_url = coalesce(excluded.probe_url, p.probe_url), cost = coalesce(set_provider.cost, p.cost),
        enabled = coalesce(set_provider.enabled, p.enabled), updated_at = clock_timestamp()
    returning * into kept;
    return to_jsonb(kept);
end $$;

comment on function public.set_provider is 'Register a provider for a capability, or change it.';
