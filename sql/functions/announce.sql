/*
 * Send an announcement (not a failure) to every target, once per key: a repeated call changes nothing, unless no target
 * accepted it and no delivery is pending. If there is no target, nothing is recorded.
 *
 * key       "weekly:2026-W47"
 * kind      "weekly"
 * body      {"markdown", "facts": [{"name", "value"}], "links": [{"title", "url"}], "image_artifact_id"}, redacted by the
 *           caller
 * targets   The targets of the caller, as in evaluate_alerts. Other targets that were seen in the last week receive it
 *           too.
 * again     Send it again to all of them, including those that accepted it.
 *
 * Returns {"alert_id", "created": whether this call queued deliveries, "targets": […]}; alert_id is null if there is no
 * target. Errors: CQ005.
 */
create or replace function public.announce(
    key text, kind text, title text, body jsonb, targets jsonb default '[]', again boolean default false
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    announced_id uuid := cogo_internal.time_ordered_id();
    send boolean;
begin
    if coalesce(length(announce.key), 0) not between 1 and 200 or announce.kind !~ '^[a-z][a-z0-9_]{0,40}$'
       or coalesce(length(announce.title), 0) not between 1 and 300 or jsonb_typeof(announce.body) is distinct from 'object' then
        perform cogo_internal.invalid_argument('An announcement needs a key (1 to 200 characters), a kind, a title (1 to 300) and a body.');
    end if;
    perform cogo_internal.checked_json(announce.body, 'The body');
    perform cogo_internal.register_alert_targets(announce.targets);
    send := exists (select from public.alert_targets t where t.last_seen_at > at - interval '7 days' and t.removed_at is null);
    if send then
        insert into public.alerts (id, fingerprint, kind, subject, status, title, first_seen_at, last_seen_at, key, body)
        values (announced_id, cogo_internal.alert_fingerprint(announce.kind, announce.key), announce.kind, announce.key, 'announced',
                announce.title, at, at, announce.key, announce.body)
        on conflict do nothing;
        if not found then
            select a.id into announced_id from public.alerts a where a.key = announce.key for update;
            send := announced_id is not null and (coalesce(announce.again, false) or not exists (
                select from public.alert_deliveries d
                where d.alert_id = announced_id and (d.status in ('pending', 'delivered') or d.announced_at is not null)));
        end if;
    end if;
    if send then
        update public.alerts a set title = announce.title, body = announce.body, last_seen_at = at where a.id = announced_id;
        insert into public.alert_deliveries (alert_id, target, status, event, next_attempt_at, error, created_at, updated_at)
        select announced_id, t.target, case when t.disabled_at is null then 'pending' else 'dead' end, 'announcement', at,
               case when t.disabled_at is not null then t.last_error end, at, at
        from public.alert_targets t where t.last_seen_at > at - interval '7 days' and t.removed_at is null
        order by t.target
        on conflict (alert_id, target) do update set
            status = excluded.status, error = excluded.error, attempts = 0, first_attempt_at = null,
            next_attempt_at = excluded.next_attempt_at, message_id = null, message_count = null,
            claim_token = null, claim_expires_at = null, updated_at = excluded.updated_at
        where alert_deliveries.status <> 'pending';
    end if;
    return coalesce((
        select jsonb_build_object(
            'alert_id', a.id, 'created', send, 'targets', coalesce((
                select jsonb_agg(d.target order by d.target) from public.alert_deliveries d where d.alert_id = a.id), '[]'))
        from public.alerts a where a.key = announce.key), '{"alert_id": null, "created": false, "targets": []}');
end $$;

comment on function public.announce is 'Send an announcement to every target, once per key.';
