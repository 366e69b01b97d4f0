/*
 * Claim the next message for a target: the caller may send it until the claim expires. Called again with the same claim_id
 * (the reply was lost), it returns the same message.
 *
 * A message that was attempted keeps its id and its content through every retry, and is ordered by its due time among
 * the new messages, so that a message that always fails does not block the others. A new message holds one alert, or up
 * to 25 of the same event if more than three are waiting or the target received three messages within the last minute.
 * After five messages within a minute, a new alert waits until it is 30 seconds old, so that others can join it.
 * Silenced and inhibited alerts wait, silenced ones also if they were attempted before; messages that an alert is resolved are sent nevertheless.
 *
 * Returns {"message": {"message_id", "target", "event", "attempt", "first_attempt_at", "alerts": [{alert, "count",
 * "new_count" since the last message, "announced_at"}]} or null, "wait_seconds" until the next attempt is allowed or null,
 * "disabled", "pending"}. Errors: CQ005.
 */
create or replace function public.claim_alert_message(target text, claim_id uuid, lease_seconds integer default 60) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    receiver public.alert_targets;
    claimed_id uuid;
    chosen uuid[];
    claimed_due_at timestamptz;
    chosen_event text;
    recent integer;
    result jsonb;
    max_alerts constant integer := 25;
begin
    if claim_alert_message.claim_id is null or coalesce(claim_alert_message.lease_seconds, 0) not between 1 and 3600 then
        perform cogo_internal.invalid_argument('claim_id must be a uuid, and lease_seconds 1 to 3600.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('cogo alerts ' || claim_alert_message.target, 0));
    select t.* into receiver from public.alert_targets t where t.target = claim_alert_message.target;
    result := jsonb_build_object(
        'message', null, 'disabled', receiver.disabled_at is not null,
        'wait_seconds', case when receiver.retry_at > at then cogo_internal.seconds_between(at, receiver.retry_at) end,
        'pending', (select count(*) from public.alert_deliveries d
                    where d.target = claim_alert_message.target and d.status = 'pending'));

    select d.message_id into claimed_id from public.alert_deliveries d
    where d.claim_token = claim_alert_message.claim_id and d.claim_expires_at is not null limit 1;
    if claimed_id is null then
        if receiver.target is null or receiver.disabled_at is not null or receiver.retry_at > at then
            return result;
        end if;
        select d.message_id, d.next_attempt_at into claimed_id, claimed_due_at from public.alert_deliveries d
        where d.target = claim_alert_message.target and d.status = 'pending' and d.message_id is not null
          and d.next_attempt_at <= at and (d.claim_expires_at is null or d.claim_expires_at < at)
          and (d.event in ('resolved', 'announcement') or not exists (
              select from public.alerts a where a.id = d.alert_id and cogo_internal.alert_is_silenced(a, at)))
        order by d.next_attempt_at limit 1;

        select count(distinct d.delivered_message_id) into recent from public.alert_deliveries d
        where d.target = claim_alert_message.target and d.announced_at > at - interval '1 minute';

        with waiting as materialized (
            select d.alert_id, d.event, d.updated_at, d.next_attempt_at, a.kind in ('database_down', 'target_failing') as urgent
            from public.alert_deliveries d
            join public.alerts a on a.id = d.alert_id
            where d.target = claim_alert_message.target and d.status = 'pending' and d.message_id is null
              and d.next_attempt_at <= at
              and (d.event in ('resolved', 'announcement')
                   or not cogo_internal.alert_is_silenced(a, at) and not cogo_internal.alert_is_inhibited(a, at))
              and (recent < 5 or d.updated_at < at - interval '30 seconds' or d.event = 'announcement'
                   or a.kind in ('database_down', 'target_failing'))
            order by urgent desc, d.event = 'announcement' desc, d.updated_at, d.alert_id
            limit 500
        ), first as (
            select w.* from waiting w order by w.urgent desc, w.event = 'announcement' desc, w.updated_at, w.alert_id limit 1
        ), groupable as (
            select w.*, count(*) over () as group_size
            from waiting w join first f on f.event = w.event and f.urgent = w.urgent
            where not f.urgent and f.event <> 'announcement'
        )
        select coalesce((array_agg(k.alert_id order by k.updated_at, k.alert_id)
                         filter (where k.group_size > 3 or k.group_size > 1 and recent >= 3))[1:max_alerts],
                        array(select f.alert_id from first f)),
               (select f.event from first f)
        into chosen, chosen_event from groupable k;

        if chosen[1] is not null and (claimed_id is null or claimed_due_at > (
            select min(d.next_attempt_at) from public.alert_deliveries d
            where d.target = claim_alert_message.target and d.alert_id = any (chosen)))
        then
            claimed_id := cogo_internal.time_ordered_id();
            update public.alert_deliveries d set message_id = claimed_id, message_count = a.count
            from public.alerts a
            where a.id = d.alert_id and d.alert_id = any (chosen) and d.target = claim_alert_message.target
              and d.status = 'pending' and d.message_id is null and d.event = chosen_event;
        end if;
        if claimed_id is null then
            return result;
        end if;

        update public.alert_deliveries d set
            claim_token = claim_alert_message.claim_id,
            claim_expires_at = at + make_interval(secs => claim_alert_message.lease_seconds),
            attempts = d.attempts + 1, first_attempt_at = coalesce(d.first_attempt_at, at), updated_at = at
        where d.target = claim_alert_message.target and d.message_id = claimed_id and d.status = 'pending';
    end if;

    select result || jsonb_build_object('message', case when count(*) > 0 then jsonb_build_object(
        'message_id', claimed_id, 'target', claim_alert_message.target, 'event', min(d.event), 'attempt', max(d.attempts),
        'first_attempt_at', min(d.first_attempt_at),
        'alerts', jsonb_agg(cogo_internal.alert_document(a) || jsonb_build_object(
            'count', d.message_count, 'new_count', d.message_count - d.announced_count, 'announced_at', d.announced_at)
            order by d.message_count desc, a.id)) end)
    into result
    from public.alert_deliveries d join public.alerts a on a.id = d.alert_id
    where d.target = claim_alert_message.target and d.message_id = claimed_id and d.status = 'pending';
    return result;
end $$;

comment on function public.claim_alert_message is 'Claim the next message for a target.';
