/*
 * A part of evaluate_alerts: a target that no process has registered for 15 minutes is removed, and its pending deliveries
 * are skipped. If there were any, an alert is raised for a day, for the other targets. When the target is registered
 * again, the deliveries are sent. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.close_removed_targets() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    gone record;
    pending integer;
    raised integer := 0;
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'target_removed' and a.status = 'firing'
                and (a.first_seen_at < at - interval '1 day'
                     or not exists (select from public.alert_targets t where t.target = a.subject and t.removed_at is not null
                                    and t.last_seen_at > at - interval '7 days'))),
        'The target is configured again, its removal was confirmed, or a day has passed.');
    for gone in
        select t.target, t.last_seen_at from public.alert_targets t
        where t.removed_at is null
          and t.last_seen_at < at - interval '15 minutes' and t.last_seen_at > at - interval '7 days'
        order by t.target
    loop
        pending := cogo_internal.skip_target_messages(gone.target, 'cogo');
        if pending > 0 then
            perform cogo_internal.raise_alert(
                cogo_internal.alert_fingerprint('target_removed', gone.target), 'target_removed', gone.target,
                format('%s is no longer a target of alerts', gone.target), 'target_removed',
                format('Messages that were not sent: %s. Add %s to WEBHOOK_TYPE again to send them, or confirm with `cogo alerts forget %s`.',
                       pending, gone.target, gone.target),
                1, gone.last_seen_at, at);
            raised := raised + 1;
        end if;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.close_removed_targets is 'Skip the deliveries of targets that are no longer configured.';
