/*
 * Deliveries of alerts, last changed first. Every filter may be null.
 *
 * Returns [{"alert_id", "fingerprint", "title", "target", "status", "event", "attempts", "first_attempt_at",
 * "next_attempt_at", "announced_event", "announced_count", "announced_at", "message_id", "reference", "error", "updated_at"}].
 */
create or replace function public.list_alert_deliveries(
    alert_id uuid default null, target text default null, status text default null, max_deliveries integer default 50
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(page) order by page.updated_at desc, page.alert_id, page.target), '[]')
    from (
        select d.alert_id, a.fingerprint, a.title, d.target, d.status, d.event, d.attempts, d.first_attempt_at,
            case when d.status = 'pending' then d.next_attempt_at end as next_attempt_at, d.announced_event, d.announced_count,
            d.announced_at, coalesce(d.message_id, d.delivered_message_id) as message_id, d.reference, d.error, d.updated_at
        from public.alert_deliveries d join public.alerts a on a.id = d.alert_id
        where (list_alert_deliveries.alert_id is null or d.alert_id = list_alert_deliveries.alert_id)
          and (list_alert_deliveries.target is null or d.target = list_alert_deliveries.target)
          and (list_alert_deliveries.status is null or d.status = list_alert_deliveries.status)
        order by d.updated_at desc, d.alert_id, d.target
        limit least(list_alert_deliveries.max_deliveries, 1000)
    ) page
$$;

comment on function public.list_alert_deliveries is 'Deliveries of alerts, last changed first.';
