/*
 * A part of other functions: mark a target as removed, and its pending deliveries as skipped, with the error class
 * target_removed. Deliveries that are being sent are left out. Returns how many were pending. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.skip_target_messages(target text, actor text) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    skipped integer;
begin
    update public.alert_targets t set removed_at = coalesce(t.removed_at, at) where t.target = skip_target_messages.target;
    update public.alert_deliveries d set status = 'skipped', updated_at = at, claim_token = null, claim_expires_at = null,
        error = jsonb_build_object('class', 'target_removed', 'retryable', true,
            'message', format('%s is no longer in WEBHOOK_TYPE of any process; it is sent if it is configured again.', d.target))
    from (select p.alert_id from public.alert_deliveries p
          where p.target = skip_target_messages.target and p.status = 'pending'
            and (p.claim_expires_at is null or p.claim_expires_at < at)
          order by p.alert_id for update skip locked) pending
    where d.target = skip_target_messages.target and d.alert_id = pending.alert_id;
    get diagnostics skipped = row_count;
    if skipped > 0 then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', skip_target_messages.actor),
            'skip_alert_deliveries', jsonb_build_object('target', skip_target_messages.target, 'reason', 'target removed'),
            jsonb_build_object('matched', skipped, 'changed', skipped, 'skipped', 0));
    end if;
    return skipped;
end $$;

comment on function cogo_internal.skip_target_messages is 'Skip the pending deliveries of a removed target.';
