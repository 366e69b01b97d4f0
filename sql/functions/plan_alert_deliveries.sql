/*
 * A part of evaluate_alerts: plan what each target receives next. One row per alert and target.
 *
 *   firing     never delivered, or last delivered as resolved and firing again (at least ten minutes apart)
 *   repeat     it has fired again since the last message, which is at least repeat_seconds old
 *   resolved   it is resolved, and its beginning was delivered (at least a minute ago)
 *
 * An alert that was resolved before it was delivered is still delivered, unless it was silenced or inhibited all the
 * time; then it is skipped. A dead row becomes pending again if the alert fires again after repeat_seconds. Rows that
 * are being sent, and those of removed targets, are left unchanged. Returns how many rows changed. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.plan_alert_deliveries(repeat_seconds double precision) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    added integer;
    changed integer;
begin
    insert into public.alert_deliveries (alert_id, target, status, event, next_attempt_at, error, created_at, updated_at)
    select a.id, t.target,
           case when t.removed_at is not null then 'skipped' when t.disabled_at is null then 'pending' else 'dead' end, 'firing', at,
           case when t.removed_at is not null then '{"class": "target_removed", "retryable": true, "message": "The target is not configured."}'
                when t.disabled_at is not null then t.last_error end, at, at
    from public.alerts a
    cross join public.alert_targets t
    where a.status = 'firing' and t.last_seen_at > at - interval '7 days'
      and not (a.kind in ('target_failing', 'target_removed') and a.subject = t.target)
      and not exists (select from public.alert_deliveries d where d.alert_id = a.id and d.target = t.target)
    on conflict do nothing;
    get diagnostics added = row_count;

    with due as materialized (
        select d.alert_id, d.target, next.*
        from public.alerts a
        join public.alert_deliveries d on d.alert_id = a.id
        cross join lateral (select case
            when d.status = 'delivered' and a.status = 'resolved' and d.announced_event = 'firing'
                 and d.announced_at < at - interval '1 minute' then 'resolved'
            when d.status = 'delivered' and a.status = 'firing' and d.announced_event = 'firing' and a.count > d.announced_count
                 and d.announced_at < at - make_interval(secs => plan_alert_deliveries.repeat_seconds) then 'repeat'
            when d.status = 'delivered' and a.status = 'firing' and d.announced_event = 'resolved'
                 and d.announced_at < at - interval '10 minutes' then 'firing'
            when d.status = 'pending' and d.event = 'repeat' and a.status = 'resolved' then 'resolved'
            when d.status = 'pending' and d.event = 'resolved' and a.status = 'firing' then 'repeat'
            when d.status = 'pending' and d.event = 'firing' and a.status = 'resolved'
                 and (cogo_internal.alert_is_silenced(a, d.created_at) or cogo_internal.alert_is_inhibited(a, a.resolved_at)) then 'skip'
            when d.status = 'dead' and a.status = 'firing' and a.count > coalesce(d.message_count, 0)
                 and d.updated_at < at - make_interval(secs => plan_alert_deliveries.repeat_seconds)
                 and exists (select from public.alert_targets t where t.target = d.target and t.disabled_at is null)
                 then case when d.announced_event is null then 'firing' else 'repeat' end
            end as event) next
        where (a.status = 'firing' or a.status = 'resolved' and a.resolved_at > at - interval '3 days')
          and next.event is not null
          and (d.status <> 'pending' or d.message_id is null)
          and not exists (select from public.alert_targets t where t.target = d.target and t.removed_at is not null)
        for update of d skip locked
    )
    update public.alert_deliveries d set
        status = case when due.event = 'skip' then 'skipped' else 'pending' end,
        event = case when due.event = 'skip' then d.event else due.event end,
        message_id = null, message_count = null, attempts = 0, first_attempt_at = null, next_attempt_at = at,
        claim_token = null, claim_expires_at = null, updated_at = at
    from due where d.alert_id = due.alert_id and d.target = due.target;
    get diagnostics changed = row_count;
    return added + changed;
end $$;

comment on function cogo_internal.plan_alert_deliveries is 'Plan what each target receives next.';
