/*
 * Alerts, last seen first. Every filter may be null.
 *
 * status          firing, resolved or announced
 * kind            see check_alert_kind
 * since_seconds   seen within this many seconds
 * before          {"last_seen_at", "id"} of the last alert of the previous page, for the next page
 *
 * Returns [{"id", "fingerprint", "kind", "subject", "status", "title", "error_class", "error_message", "count",
 * "first_seen_at", "last_seen_at", "resolved_at", "resolution", "refs", "key", "body", "silenced", "inhibited", "retrying",
 * "deliveries": [{"target", "status", "event", "attempts", "announced_event", "announced_at", "next_attempt_at", "error"}]}].
 * Errors: CQ005.
 */
create or replace function public.list_alerts(
    status text default null, kind text default null, fingerprint text default null, since_seconds double precision default null,
    before jsonb default null, max_alerts integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
begin
    perform cogo_internal.check_alert_kind(list_alerts.kind);
    return (
        select coalesce(jsonb_agg(cogo_internal.alert_document(page.alert) || jsonb_build_object(
            'silenced', (page.alert).status = 'firing' and cogo_internal.alert_is_silenced(page.alert, at),
            'inhibited', (page.alert).status = 'firing' and cogo_internal.alert_is_inhibited(page.alert, at),
            'retrying', (page.alert).status = 'firing' and (page.alert).kind = 'job_failed'
                and cogo_internal.dead_letter_cause_state((page.alert).fingerprint, (page.alert).first_seen_at) = 'retrying',
            'deliveries', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'target', d.target, 'status', d.status, 'event', d.event, 'attempts', d.attempts,
                    'announced_event', d.announced_event, 'announced_at', d.announced_at,
                    'next_attempt_at', case when d.status = 'pending' then d.next_attempt_at end, 'error', d.error)
                    order by d.target), '[]')
                from public.alert_deliveries d where d.alert_id = (page.alert).id))
            order by (page.alert).last_seen_at desc, (page.alert).id desc), '[]')
        from (
            select a as alert from public.alerts a
            where (list_alerts.status is null or a.status = list_alerts.status)
              and (list_alerts.kind is null or a.kind = list_alerts.kind)
              and (list_alerts.fingerprint is null or a.fingerprint = list_alerts.fingerprint)
              and (list_alerts.since_seconds is null or a.last_seen_at >= at - make_interval(secs => list_alerts.since_seconds))
              and (list_alerts.before is null or (a.last_seen_at, a.id)
                   < ((list_alerts.before ->> 'last_seen_at')::timestamptz, (list_alerts.before ->> 'id')::uuid))
            order by a.last_seen_at desc, a.id desc
            limit least(list_alerts.max_alerts, 1000)
        ) page);
end $$;

comment on function public.list_alerts is 'Alerts, last seen first, with their deliveries.';
