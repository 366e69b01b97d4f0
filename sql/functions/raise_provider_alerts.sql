/*
 * A part of evaluate_alerts: raise an alert for each provider whose newest probe, at most an hour old, is unhealthy,
 * until a probe is healthy. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_provider_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    probe record;
    alert_key text;
    raised integer := 0;
begin
    for probe in
        select p.provider, bool_and(p.healthy) as healthy, max(p.checked_at) as checked_at,
            (array_agg(p.error order by p.checked_at desc) filter (where not p.healthy))[1] as error
        from jsonb_to_recordset(public.list_provider_health()) as p (provider text, healthy boolean, checked_at timestamptz, error text)
        where p.checked_at > at - interval '1 hour'
        group by p.provider
    loop
        alert_key := cogo_internal.alert_fingerprint('provider_unreachable', probe.provider);
        if probe.healthy then
            perform cogo_internal.resolve_alerts(
                array(select a.id from public.alerts a where a.fingerprint = alert_key and a.status = 'firing'), 'The provider responds again.');
        elsif not exists (select from public.alerts a
                          where a.fingerprint = alert_key and a.status = 'firing' and a.last_seen_at >= probe.checked_at) then
            perform cogo_internal.raise_alert(
                alert_key, 'provider_unreachable', probe.provider, format('Provider %s cannot be reached', probe.provider),
                'provider_unreachable', probe.error, 1, probe.checked_at, probe.checked_at);
            raised := raised + 1;
        end if;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_provider_alerts is 'Raise alerts for unreachable providers.';
