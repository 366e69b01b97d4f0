/*
 * Record the outcome of one attempt to reach a target, for its health and its counters. It is called by
 * settle_alert_message and by a test of the target.
 *
 * outcome, error   As in settle_alert_message
 *
 * Returns {"consecutive_failures"}; null for an unknown target. Errors: CQ005.
 */
create or replace function public.record_alert_target(target text, outcome text, error jsonb default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    failed_attempt constant boolean := record_alert_target.outcome in ('retry', 'dead', 'gone');
    class constant text := left(coalesce(record_alert_target.error ->> 'class', 'unknown'), 100);
    failures integer;
begin
    perform cogo_internal.checked_json(record_alert_target.error, 'The error');
    if coalesce(record_alert_target.outcome, '') not in ('delivered', 'retry', 'dead', 'gone', 'released') then
        perform cogo_internal.invalid_argument('The outcome must be delivered, retry, dead, gone or released.');
    end if;
    update public.alert_targets t set
        consecutive_failures = case when failed_attempt then t.consecutive_failures + 1
            when record_alert_target.outcome = 'delivered' then 0 else t.consecutive_failures end,
        disabled_at = case record_alert_target.outcome when 'delivered' then null when 'gone' then at else t.disabled_at end,
        retry_at = case when record_alert_target.outcome = 'delivered' then null else t.retry_at end,
        last_success_at = case when record_alert_target.outcome = 'delivered' then at else t.last_success_at end,
        last_failure_at = case when failed_attempt then at else t.last_failure_at end,
        last_error = case when failed_attempt then record_alert_target.error else t.last_error end,
        delivered = t.delivered + (record_alert_target.outcome = 'delivered')::integer,
        failed = case when failed_attempt then t.failed || jsonb_build_object(class, coalesce((t.failed ->> class)::bigint, 0) + 1)
            else t.failed end
    where t.target = record_alert_target.target
    returning t.consecutive_failures into failures;
    return jsonb_build_object('consecutive_failures', failures);
end $$;

comment on function public.record_alert_target is 'Record the outcome of one attempt to reach a target of alerts.';
