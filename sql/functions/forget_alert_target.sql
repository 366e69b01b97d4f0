/*
 * Forget a target of alerts that is no longer configured: its pending deliveries are skipped, and lists leave it out. A
 * process in which it is configured registers it again.
 *
 * actor   who forgets it
 *
 * Returns {"target", "changed", "skipped": how many deliveries were pending}; `changed` is false if there is no such target.
 * Errors: none.
 */
create or replace function public.forget_alert_target(target text, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    pending integer := 0;
    known boolean;
begin
    -- evaluate_alerts locks deliveries in another order: one of the two at a time.
    perform pg_advisory_xact_lock(hashtextextended('cogo promote_alerts', 0));
    known := exists (select from public.alert_targets t
                     where t.target = forget_alert_target.target and t.last_seen_at > at - interval '7 days');
    if known then
        pending := cogo_internal.skip_target_messages(forget_alert_target.target, coalesce(forget_alert_target.actor, session_user));
        update public.alert_targets t set last_seen_at = at - interval '8 days' where t.target = forget_alert_target.target;
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(forget_alert_target.actor, session_user)),
            'forget_alert_target', jsonb_build_object('target', forget_alert_target.target),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    return jsonb_build_object('target', forget_alert_target.target, 'changed', known, 'skipped', pending);
end $$;

comment on function public.forget_alert_target is 'Forget a target of alerts that is no longer configured.';
