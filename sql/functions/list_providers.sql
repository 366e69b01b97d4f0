/*
 * The providers of the router, per capability, with their last probe; by capability and cost.
 *
 * Returns [{"provider", "capability", "probe_url", "cost", "enabled", "created_at", "updated_at",
 *           "healthy", "latency_ms", "error", "checked_at", "since"}]; the last five are null if it was never probed.
 */
create or replace function public.list_providers(capability text default null) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(
        to_jsonb(p) || jsonb_build_object('healthy', h.healthy, 'latency_ms', h.latency_ms, 'error', h.error,
                                          'checked_at', h.checked_at, 'since', h.since)
        order by p.capability, p.cost, p.provider), '[]')
    from public.providers p
    left join public.provider_health h on h.provider = p.provider and h.capability = p.capability
    where list_providers.capability is null or p.capability = list_providers.capability
$$;

comment on function public.list_providers is 'The providers of the router, with the last probe of each.';
