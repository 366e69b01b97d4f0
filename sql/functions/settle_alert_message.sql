/*
 * Record the outcome of sending a message, fenced: only the holder of the claim may record it. An expired claim that
 * was not taken over still counts. Called again it changes nothing and returns ok.
 *
 * outcome   delivered   its alerts count as announced
 *           retry       again after a backoff of 5 s, doubled each time to 5 min, with jitter, or after
 *                       retry_after_seconds (an hour at most); after a day it is dead
 *           dead        the target rejected it permanently: dead until it is replayed
 *           gone        the same, and the target is disabled with all its pending deliveries
 *           released    it was not attempted: again after retry_after_seconds
 * error     {"class", "message", "status", "retryable"}, redacted by the caller
 *
 * Returns {"status": "ok" or "claim_lost", "delivery_status", "retry_seconds"}. Errors: CQ005.
 */
create or replace function public.settle_alert_message(
    claim_id uuid, outcome text, error jsonb default null, retry_after_seconds double precision default null,
    reference text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    held record;
    failures integer;
    delay interval;
    final text;
    requested_delay constant interval := make_interval(secs => least(greatest(coalesce(settle_alert_message.retry_after_seconds, 0), 0), 3600));
begin
    if coalesce(settle_alert_message.outcome, '') not in ('delivered', 'retry', 'dead', 'gone', 'released') then
        perform cogo_internal.invalid_argument('The outcome must be delivered, retry, dead, gone or released.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('cogo alerts ' || d.target, 0))
    from (select distinct x.target from public.alert_deliveries x where x.claim_token = settle_alert_message.claim_id) d;
    select d.target, d.message_id, max(d.attempts) as attempts, min(d.first_attempt_at) as first_attempt_at into held
    from public.alert_deliveries d
    where d.claim_token = settle_alert_message.claim_id and d.claim_expires_at is not null group by 1, 2;
    if held.target is null then
        return jsonb_build_object('status', case when exists (
            select from public.alert_deliveries d where d.claim_token = settle_alert_message.claim_id) then 'ok' else 'claim_lost' end);
    end if;
    failures := coalesce((public.record_alert_target(held.target, settle_alert_message.outcome, settle_alert_message.error)
        ->> 'consecutive_failures')::integer, held.attempts);

    final := case
        when settle_alert_message.outcome = 'delivered' then 'delivered'
        when settle_alert_message.outcome in ('dead', 'gone')
          or settle_alert_message.outcome = 'retry' and held.first_attempt_at < at - interval '1 day' then 'dead'
        else 'pending' end;
    -- While the target is down, every message has the target's delay; a message that fails while others succeed has a separate delay.
    delay := case settle_alert_message.outcome
        when 'released' then requested_delay
        when 'retry' then greatest(requested_delay, (0.75 + random() / 2) * least(interval '5 minutes',
            interval '5 seconds' * power(2, least(case when failures < held.attempts then held.attempts else failures end, 12) - 1)))
        end;
    update public.alert_deliveries d set
        status = final,
        announced_event = case when final = 'delivered'
            then case d.event when 'repeat' then 'firing' else d.event end else d.announced_event end,
        announced_count = case when final = 'delivered' then d.message_count else d.announced_count end,
        announced_at = case when final = 'delivered' then at else d.announced_at end,
        delivered_message_id = case when final = 'delivered' then d.message_id else d.delivered_message_id end,
        reference = case when final = 'delivered' then coalesce(settle_alert_message.reference, d.reference) else d.reference end,
        message_id = case when final = 'delivered' then null else d.message_id end,
        attempts = d.attempts - (settle_alert_message.outcome = 'released')::integer,
        next_attempt_at = case when final = 'pending' then at + delay else d.next_attempt_at end,
        error = case when final = 'delivered' then null when settle_alert_message.outcome = 'released' then d.error
            else settle_alert_message.error end,
        claim_expires_at = null, updated_at = at
    where d.claim_token = settle_alert_message.claim_id and d.claim_expires_at is not null;

    if settle_alert_message.outcome = 'gone' then
        update public.alert_deliveries d set status = 'dead', error = settle_alert_message.error, updated_at = at
        where d.target = held.target and d.status = 'pending';
    elsif delay is not null and (settle_alert_message.outcome = 'released' or requested_delay > interval '0' or failures >= held.attempts) then
        update public.alert_targets t set retry_at = at + delay where t.target = held.target;
    end if;
    return jsonb_build_object('status', 'ok', 'delivery_status', final,
                              'retry_seconds', case when final = 'pending' then extract(epoch from delay) end);
end $$;

comment on function public.settle_alert_message is 'Record the outcome of sending a message, fenced by its claim.';
