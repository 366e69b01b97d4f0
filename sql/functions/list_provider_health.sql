/*
 * The last probe of each provider and capability, failed ones first.
 * Returns [{"provider", "capability", "healthy", "latency_ms", "error", "checked_at", "since"}].
 */
create or replace function public.list_provider_health() returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(h) order by h.healthy, h.provider, h.capability), '[]') from public.provider_health h
$$;

comment on function public.list_provider_health is 'The last probe of each provider.';
