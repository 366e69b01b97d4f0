/*
 * Store the results of probes; the last one of each provider and capability is kept. Results older than a week are
 * deleted.
 *
 * results   [{"provider", "capability", "healthy", "latency_ms", "error"}], at most 1,000
 * Returns {"recorded", "changed": [{"provider", "capability", "healthy"}]}: those whose health changed.
 * Errors: CQ005.
 */
create or replace function public.record_provider_health(results jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    changed jsonb;
    recorded integer;
begin
    if jsonb_typeof(record_provider_health.results) is distinct from 'array'
       or jsonb_array_length(record_provider_health.results) > 1000 then
        perform cogo_internal.invalid_argument('results must be a list of at most 1,000 probes.');
    end if;
    perform cogo_internal.check_provider(probe ->> 'provider', probe ->> 'capability')
    from jsonb_array_elements(record_provider_health.results) probe;
    if exists (select from jsonb_array_elements(record_provider_health.results) probe
               where jsonb_typeof(probe -> 'healthy') is distinct from 'boolean') then
        perform cogo_internal.invalid_argument('Each result must have "healthy": true or false.');
    end if;
    with probe as (
        select distinct on (g.provider, g.capability) g.*
        from jsonb_to_recordset(record_provider_health.results)
            as g (provider text, capability text, healthy boolean, latency_ms double precision, error text)
        order by g.provider, g.capability
    ), before as (
        select h.* from public.provider_health h join probe using (provider, capability)
    ), written as (
        insert into public.provider_health as h (provider, capability, healthy, latency_ms, error, checked_at, since)
        select probe.provider, probe.capability, probe.healthy, probe.latency_ms, left(probe.error, 500), at, at
        from probe
        on conflict on constraint provider_health_pkey do update set
            healthy = excluded.healthy, latency_ms = excluded.latency_ms, error = excluded.error,
            checked_at = excluded.checked_at,
            since = case when h.healthy = excluded.healthy then h.since else excluded.since end
        returning h.provider, h.capability, h.healthy
    )
    select count(*), coalesce(jsonb_agg(to_jsonb(w) order by w.provider, w.capability)
                              filter (where b.healthy is distinct from w.healthy), '[]')
    into recorded, changed
    from written w left join before b using (provider, capability);
    delete from public.provider_health h where (h.provider, h.capability) in (
        select old.provider, old.capability from public.provider_health old where old.checked_at < at - interval '7 days'
        order by old.provider, old.capability for update skip locked);
    return jsonb_build_object('recorded', recorded, 'changed', changed);
end $$;

comment on function public.record_provider_health is 'Store the results of probes of providers.';
