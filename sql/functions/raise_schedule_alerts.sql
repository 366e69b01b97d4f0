/*
 * A part of evaluate_alerts: raise an alert for each watched schedule that has not ticked 15 minutes after its due time,
 * until it ticks or is no longer watched. See watch_schedules. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_schedule_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    late record;
    raised integer := 0;
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'schedule_missed' and a.status = 'firing'
                and not exists (select from public.watched_schedules w where w.name = a.subject and w.due_at < at - interval '15 minutes')),
        'The schedule ticked again, or was stopped.');
    for late in
        select w.* from public.watched_schedules w
        where w.due_at < at - interval '15 minutes'
          and not exists (select from public.alerts a
                          where a.kind = 'schedule_missed' and a.subject = w.name and a.status = 'firing')
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('schedule_missed', late.name), 'schedule_missed', late.name,
            format('Schedule %s missed its time', late.name), 'schedule_missed',
            coalesce(late.error, format('The schedule was due at %s and did not tick. Check that the Dagster daemon is running.',
                                        to_char(late.due_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))),
            1, late.due_at, late.due_at);
        raised := raised + 1;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_schedule_alerts is 'Raise alerts for schedules that missed their time.';
