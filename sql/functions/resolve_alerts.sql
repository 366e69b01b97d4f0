/*
 * Resolve alerts, with `resolution` as the reason. Alerts that no longer fire are left unchanged. The callers hold the
 * lock of evaluate_alerts. Returns how many changed. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.resolve_alerts(alert_ids uuid[], resolution text) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    changed integer;
begin
    update public.alerts a set status = 'resolved', resolved_at = at, resolution = resolve_alerts.resolution
    where a.id = any (resolve_alerts.alert_ids) and a.status = 'firing';
    get diagnostics changed = row_count;
    return changed;
end $$;

comment on function cogo_internal.resolve_alerts is 'Resolve alerts.';
