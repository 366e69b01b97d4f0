/*
 * The health of each target that was configured within the last week, and when evaluate_alerts last ran.
 *
 * Returns {"targets": [{"target", "removed": no process has it configured, "healthy", "disabled", "consecutive_failures",
 * "retry_at", "last_success_at", "last_failure_at", "last_error", "pending", "oldest_pending_seconds", "dead", "unsent":
 * skipped, because it is removed, "delivered", "failed": {class: count}}],
 * "promoted_seconds_ago": since evaluate_alerts last ran, "firing", "undelivered": deliveries that are due}.
 */
create or replace function public.alert_target_health() returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
begin
    return jsonb_build_object(
        'targets', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'target', t.target,
                'removed', t.removed_at is not null,
                'healthy', t.removed_at is not null or t.disabled_at is null and t.consecutive_failures < 3
                    and (t.consecutive_failures = 0 or coalesce(t.last_error ->> 'retryable', 'true') = 'true'),
                'disabled', t.disabled_at is not null, 'consecutive_failures', t.consecutive_failures,
                'retry_at', case when t.retry_at > at then t.retry_at end, 'last_success_at', t.last_success_at,
                'last_failure_at', t.last_failure_at, 'last_error', t.last_error,
                'pending', waiting.pending, 'oldest_pending_seconds', waiting.oldest_seconds,
                'dead', (select count(*) from public.alert_deliveries d where d.target = t.target and d.status = 'dead'),
                'unsent', (select count(*) from public.alert_deliveries d where d.target = t.target and d.status = 'skipped'
                           and d.error ->> 'class' = 'target_removed'),
                'delivered', t.delivered, 'failed', t.failed) order by t.target), '[]')
            from public.alert_targets t
            cross join lateral (
                select count(*) as pending, coalesce(cogo_internal.seconds_between(min(d.created_at), at), 0) as oldest_seconds
                from public.alert_deliveries d where d.target = t.target and d.status = 'pending') waiting
            where t.last_seen_at > at - interval '7 days'),
        'promoted_seconds_ago', (select cogo_internal.seconds_between(c.seen_at, at) from public.alert_cursors c where c.source = 'promote_alerts'),
        'firing', (select count(*) from public.alerts a where a.status = 'firing'),
        'undelivered', (select count(*) from public.alert_deliveries d
                        join public.alert_targets t on t.target = d.target and t.disabled_at is null and t.removed_at is null
                        where d.status = 'pending' and d.next_attempt_at <= at and coalesce(t.retry_at, at) <= at));
end $$;

comment on function public.alert_target_health is 'The health of each target of alerts.';
