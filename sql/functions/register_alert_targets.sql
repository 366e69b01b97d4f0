/*
 * A part of other functions: register the targets that are configured in the calling process. A changed address resets the
 * failures of a target.
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
begin
    if jsonb_typeof(coalesce(register_alert_targets.targets, '[]')) <> 'array' then
        perform cogo_internal.invalid_argument('targets must be an array such as [{"target": "slack"}].');
    end if;
    insert into public.alert_targets as t (target, address_digest, first_seen_at, last_seen_at)
    select distinct on (g.target) g.target, g.address_digest, at, at
    from jsonb_to_recordset(coalesce(register_alert_targets.targets, '[]')) as g (target text, address_digest text)
    where g.target ~ '^[a-z][a-z0-9_-]{0,40}$' or cogo_internal.invalid_argument('A target''s name must be lower-case letters.')::boolean
    order by g.target
    on conflict (target) do update set
        last_seen_at = at, address_digest = excluded.address_digest,
        disabled_at = case when t.address_digest is not distinct from excluded.address_digest then t.disabled_at end,
        retry_at = case when t.address_digest is not distinct from excluded.address_digest then t.retry_at end,
        consecutive_failures = case when t.address_digest is not distinct from excluded.address_digest
            then t.consecutive_failures else 0 end;
    get diagnostics changed = row_count;
    return changed;
end $$;

comment on function cogo_internal.register_alert_targets is 'Register targets of alerts.';
