/*
 * Choose a provider that has all these capabilities: healthy ones before those of unknown health, then the cheapest,
 * then the fastest. A provider whose last probe failed is not chosen; the health of a provider without a recent probe
 * is unknown.
 *
 * capabilities      ["chat", "vision"]; the costs of all are added, the slowest probe counts
 * max_age_seconds   The maximum age of a recent probe
 * Returns {"provider": text or null, "capabilities", "cost", "healthy": true or null, "latency_ms", "checked_at",
 *          "reason": a message, "candidates": [{"provider", "cost", "healthy", "latency_ms", "checked_at", "error"}]},
 *          the candidates in order of preference. Errors: CQ005.
 */
create or replace function public.select_provider(capabilities jsonb, max_age_seconds double precision default 900) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    wanted text[];
    oldest timestamptz;
    candidates jsonb;
    chosen jsonb;
    names text;
begin
    if jsonb_typeof(select_provider.capabilities) is distinct from 'array'
       or jsonb_array_length(select_provider.capabilities) not between 1 and 20
       or exists (select from jsonb_array_elements(select_provider.capabilities) c where jsonb_typeof(c) <> 'string') then
        perform cogo_internal.invalid_argument('capabilities must be a list of 1 to 20 words such as ["chat"].');
    end if;
    select array_agg(distinct c) into wanted from jsonb_array_elements_text(select_provider.capabilities) c;
    oldest := clock_timestamp() - make_interval(secs => least(greatest(coalesce(max_age_seconds, 900), 0), 31536000));
    with probed as (
        select p.provider, p.cost, h.latency_ms, h.checked_at, h.error,
               case when h.checked_at >= oldest then h.healthy end as healthy
        from public.providers p
        left join public.provider_health h on h.provider = p.provider and h.capability = p.capability
        where p.enabled and p.capability = any (wanted)
    ), capable as (
        select e.provider, sum(e.cost) as cost, max(e.latency_ms) as latency_ms, min(e.checked_at) as checked_at,
               string_agg(e.error, '; ' order by e.error) filter (where not e.healthy) as error,
               case when bool_or(e.healthy is false) then false when bool_and(e.healthy) then true end as healthy,
               bool_or(e.healthy is null) as unknown
        from probed e
        group by e.provider
        having count(*) = cardinality(wanted)
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'provider', a.provider, 'cost', a.cost, 'latency_ms', a.latency_ms, 'checked_at', a.checked_at, 'error', a.error,
        'healthy', case when a.healthy is false then false when not a.unknown then true end)
        order by case when a.healthy is false then 2 when a.unknown then 1 else 0 end,
                 a.cost, a.latency_ms nulls last, a.provider), '[]')
    into candidates from capable a;
    names := array_to_string(wanted, ', ');
    chosen := candidates -> 0;
    if chosen is null or chosen ->> 'healthy' = 'false' then
        return jsonb_build_object(
            'provider', null, 'capabilities', to_jsonb(wanted), 'cost', null, 'healthy', null, 'latency_ms', null,
            'checked_at', null, 'candidates', candidates,
            'reason', case when chosen is null then format('No provider is registered for %s: add one with `cogo router add`.', names)
                           else format('No provider of %s is healthy: see `cogo router list`.', names) end);
    end if;
    return (chosen - 'error') || jsonb_build_object(
        'capabilities', to_jsonb(wanted), 'candidates', candidates,
        'reason', format(case when chosen ->> 'healthy' = 'true' then '%s is the cheapest healthy provider of %s.'
                         else '%s is the cheapest provider of %s; its health is unknown, since it has no recent probe.' end,
                         chosen ->> 'provider', names));
end $$;

comment on function public.select_provider is 'Choose a provider by capabilities, health and cost.';
