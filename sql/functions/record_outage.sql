/*
 * Record an outage of the database that has ended: a resolved alert, and which targets were notified without the database.
 * The caller repeats the call until it succeeds; an outage is recorded once.
 *
 * host                The machine that observed it
 * started_seconds_ago, ended_seconds_ago
 * told                ["slack"]: the targets that were notified of its beginning
 *
 * Returns {"alert_id", "created"}. Errors: CQ005.
 */
create or replace function public.record_outage(
    outage_id uuid, host text, started_seconds_ago double precision, ended_seconds_ago double precision,
    error_message text, told jsonb default '[]'
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    began timestamptz := at - make_interval(secs => greatest(record_outage.started_seconds_ago, 0));
    ended timestamptz := at - make_interval(secs => greatest(record_outage.ended_seconds_ago, 0));
begin
    if record_outage.outage_id is null or coalesce(length(record_outage.host), 0) not between 1 and 200 or began > ended
       or began is null or ended is null then
        perform cogo_internal.invalid_argument('An outage needs an id, a host, and a beginning before its end.');
    end if;
    insert into public.alerts (id, fingerprint, kind, subject, status, title, error_class, error_message, first_seen_at,
                               last_seen_at, resolved_at, resolution)
    values (record_outage.outage_id, cogo_internal.alert_fingerprint('database_down', record_outage.host), 'database_down',
            record_outage.host, 'resolved', format('The database could not be reached from %s', record_outage.host),
            'database_down', left(split_part(cogo_internal.redacted(record_outage.error_message), E'\n', 1), 1000), began, ended, ended,
            'The database responds again.')
    on conflict do nothing;
    if not found then
        return jsonb_build_object('alert_id', record_outage.outage_id, 'created', false);
    end if;
    insert into public.alert_deliveries (alert_id, target, status, event, next_attempt_at, announced_event, announced_count,
                                         announced_at, created_at, updated_at)
    select record_outage.outage_id, t.target, 'pending',
           case when record_outage.told ? t.target then 'resolved' else 'firing' end, at,
           case when record_outage.told ? t.target then 'firing' end, (record_outage.told ? t.target)::integer,
           case when record_outage.told ? t.target then began end, at, at
    from public.alert_targets t
    where t.last_seen_at > at - interval '7 days' and t.disabled_at is null and t.removed_at is null;
    return jsonb_build_object('alert_id', record_outage.outage_id, 'created', true);
end $$;

comment on function public.record_outage is 'Record an outage of the database that has ended.';
