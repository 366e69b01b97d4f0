/*
 * A part of evaluate_alerts: raise an alert for each reported condition until it is no longer reported; a report that was
 * not renewed for a day is deleted. Kinds: sensor_failing, executor_unavailable, no_worker_for_family.
 * See report_conditions. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_condition_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    reported record;
    raised integer := 0;
begin
    -- `skip locked`: waiting for a row that is being reported could deadlock.
    delete from public.watched_conditions w
    using (select old.scope, old.kind, old.subject from public.watched_conditions old
           where old.seen_at < at - interval '1 day'
           order by old.scope, old.kind, old.subject for update skip locked) gone
    where (w.scope, w.kind, w.subject) = (gone.scope, gone.kind, gone.subject);
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind in ('sensor_failing', 'executor_unavailable', 'no_worker_for_family') and a.status = 'firing'
                and not exists (select from public.watched_conditions w where w.kind = a.kind and w.subject = a.subject)),
        'The condition is no longer reported.');
    for reported in
        select w.kind, w.subject, min(w.began_at) as began_at, max(w.seen_at) as seen_at,
            (array_agg(w.title order by w.seen_at desc))[1] as title,
            (array_agg(w.error_message order by w.seen_at desc))[1] as error_message
        from public.watched_conditions w
        where not exists (select from public.alerts a
                          where a.kind = w.kind and a.subject = w.subject and a.status = 'firing')
        group by 1, 2
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint(reported.kind, reported.subject), reported.kind, reported.subject, reported.title, reported.kind,
            reported.error_message, 1, reported.began_at, reported.seen_at);
        raised := raised + 1;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_condition_alerts is 'Raise alerts for reported conditions.';
