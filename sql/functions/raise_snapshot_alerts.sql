/*
 * A part of evaluate_alerts: raise an alert for a snapshot that has been held for five minutes, until it has ended.
 * Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_snapshot_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    held constant jsonb := public.held_snapshot(300);
    holder constant text := left(coalesce(held ->> 'name', (held ->> 'application') || ' (pid ' || (held ->> 'pid') || ')'), 200);
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'snapshot_held' and a.status = 'firing' and a.subject is distinct from holder),
        'The snapshot is no longer held.');
    if holder is null or exists (select from public.alerts a
                                 where a.kind = 'snapshot_held' and a.subject = holder and a.status = 'firing') then
        return 0;
    end if;
    perform cogo_internal.raise_alert(
        cogo_internal.alert_fingerprint('snapshot_held', holder), 'snapshot_held', holder, 'A snapshot is held: ' || holder,
        'snapshot_held', concat_ws(' ', held ->> 'message', held ->> 'remedy'), 1, at, at);
    return 1;
end $$;

comment on function cogo_internal.raise_snapshot_alerts is 'Raise alerts for snapshots that are held.';
