/*
 * Whether to call the dead man's switch now: the system works, and it was not called within interval_seconds. The
 * caller that receives `claimed` makes the call for this interval.
 *
 * The system works while this function returns, evaluate_alerts ran within five minutes, alerts are delivered (none that
 * has fired for 15 minutes, and is neither silenced nor inhibited, still waits for its first delivery to any target), and
 * jobs that have been due for ten minutes have a live worker.
 *
 * Returns {"claimed", "working", "reason"}: `reason` is a message if the system does not work, else null. Errors: CQ005.
 */
create or replace function public.claim_deadman_ping(interval_seconds double precision default 60) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    reason text;
    waiting jsonb;
begin
    if coalesce(claim_deadman_ping.interval_seconds, 0) <= 0 then
        perform cogo_internal.invalid_argument('interval_seconds must be above 0.');
    end if;
    if not exists (select from public.alert_cursors c
                   where c.source = 'promote_alerts' and c.seen_at > at - interval '5 minutes') then
        reason := 'Alerts have not been evaluated for five minutes.';
    elsif exists (
        select from public.alerts a
        where a.status = 'firing' and a.first_seen_at < at - interval '15 minutes'
          and not cogo_internal.alert_is_silenced(a, at) and not cogo_internal.alert_is_inhibited(a, at)
          and exists (select from public.alert_deliveries d
                      where d.alert_id = a.id and d.status in ('pending', 'dead') and d.created_at < at - interval '15 minutes')
          and not exists (select from public.alert_deliveries d
                          where d.alert_id = a.id and (d.status in ('delivered', 'skipped') or d.announced_event is not null)))
    then
        reason := 'An alert has waited 15 minutes for its first delivery.';
    elsif not exists (select from public.workers w where w.stopped_at is null and cogo_internal.worker_is_alive(w)) then
        waiting := public.queue_stats(count_limit => 1);
        if (waiting ->> 'ready')::bigint > 0 and (waiting ->> 'oldest_ready_seconds')::double precision > 600 then
            reason := 'Jobs have been due for ten minutes, and no worker is alive.';
        end if;
    end if;
    if reason is not null then
        return jsonb_build_object('claimed', false, 'working', false, 'reason', reason);
    end if;
    insert into public.deadman as d (pinged_at) values (at)
    on conflict (only_row) do update set pinged_at = at
    where d.pinged_at <= at - make_interval(secs => claim_deadman_ping.interval_seconds);
    return jsonb_build_object('claimed', found, 'working', true, 'reason', null);
end $$;

comment on function public.claim_deadman_ping is 'Whether to call the dead man''s switch now.';
