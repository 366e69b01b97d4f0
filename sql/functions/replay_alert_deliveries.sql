/*
 * Retry dead deliveries, with their message ids; a disabled target is enabled again, and its delay ends.
 *
 * target, alert_id   Which deliveries; all dead deliveries if both are null
 * action             The operator's action and its batch: see repeated_batch
 *
 * Returns {"matched", "changed", "skipped", "more"}; call again while `more`. Errors: CQ005.
 */
create or replace function public.replay_alert_deliveries(
    target text default null, alert_id uuid default null, batch_size integer default 500, action jsonb default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    changed integer;
    result jsonb;
begin
    if coalesce(replay_alert_deliveries.batch_size, 0) not between 1 and 1000 then
        perform cogo_internal.invalid_argument('batch_size must be 1 to 1000.');
    end if;
    result := cogo_internal.repeated_batch(replay_alert_deliveries.action);
    if result is not null then
        return result;
    end if;
    with dead as materialized (
        select d.alert_id, d.target from public.alert_deliveries d
        where d.status = 'dead'
          and (replay_alert_deliveries.target is null or d.target = replay_alert_deliveries.target)
          and (replay_alert_deliveries.alert_id is null or d.alert_id = replay_alert_deliveries.alert_id)
        limit replay_alert_deliveries.batch_size
        for update skip locked
    )
    update public.alert_deliveries d set
        status = 'pending', attempts = 0, first_attempt_at = null, next_attempt_at = at, claim_token = null,
        claim_expires_at = null, updated_at = at
    from dead where d.alert_id = dead.alert_id and d.target = dead.target;
    get diagnostics changed = row_count;
    if changed > 0 then
        update public.alert_targets t set disabled_at = null, retry_at = null
        where t.target in (select x.target from public.alert_targets x
                           where (replay_alert_deliveries.target is null or x.target = replay_alert_deliveries.target)
                             and (x.disabled_at is not null or x.retry_at is not null)
                           order by x.target for update);
    end if;
    result := jsonb_build_object('matched', changed, 'changed', changed, 'skipped', 0,
                                 'more', changed >= replay_alert_deliveries.batch_size);
    return cogo_internal.log_operation(
        replay_alert_deliveries.action, 'replay_alert_deliveries',
        jsonb_build_object('target', replay_alert_deliveries.target, 'alert_id', replay_alert_deliveries.alert_id), result);
end $$;

comment on function public.replay_alert_deliveries is 'Retry dead deliveries.';
