/*
 * A part of other functions: register the targets that are configured in the calling process. A changed address resets the
 * failures of a target. Deliveries of a target that was removed are pending again.
 *
 * targets   [{"target": "slack", "address_digest": "…"}]
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.register_alert_targets(targets jsonb) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    changed integer;
    returned text[];
begin
    if jsonb_typeof(coalesce(register_alert_targets.targets, '[]')) <> 'array' then
        perform cogo_internal.invalid_argument('targets must be an array such as [{"target": "slack"}].');
    end if;
    select array_agg(t.target) into returned
    from public.alert_targets t
    where t.removed_at is not null and register_alert_targets.targets @> jsonb_build_array(jsonb_build_object('target', t.target));
    insert into public.alert_targets as t (target, address_digest, first_seen_at, last_seen_at)
    select distinct on (g.target) g.target, g.address_digest, at, at
    from jsonb_to_recordset(coalesce(register_alert_targets.targets, '[]')) as g (target text, address_digest text)
    where g.target ~ '^[a-z][a-z0-9_-]{0,40}$' or cogo_internal.invalid_argument('A target''s name must be lower-case letters.')::boolean
    order by g.target
    on conflict (target) do update set
        last_seen_at = at, removed_at = null, address_digest = excluded.address_digest,
        disabled_at = case when t.address_digest is not distinct from excluded.address_digest then t.disabled_at end,
        retry_at = case when t.address_digest is not distinct from excluded.address_digest then t.retry_at end,
        consecutive_failures = case when t.address_digest is not distinct from excluded.address_digest
            then t.consecutive_failures else 0 end;
    get diagnostics changed = row_count;
    -- What was skipped while it was removed: see skip_target_messages.
    update public.alert_deliveries d set status = 'pending', attempts = 0, first_attempt_at = null, next_attempt_at = at,
        error = null, updated_at = at
    from (select s.alert_id, s.target from public.alert_deliveries s join public.alerts a on a.id = s.alert_id
          where s.target = any (returned) and s.status = 'skipped' and s.error ->> 'class' = 'target_removed'
            and (a.status <> 'resolved' or a.resolved_at > at - interval '3 days')
          order by s.alert_id, s.target for update of s) unsent
    where d.alert_id = unsent.alert_id and d.target = unsent.target;
    return changed;
end $$;

comment on function cogo_internal.register_alert_targets is 'Register targets of alerts.';
