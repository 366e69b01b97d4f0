/*
 * Count a failure towards the firing alert of this fingerprint, or open a new alert. An alert that was resolved less
 * than ten minutes ago fires again instead, so that a flapping failure does not open many alerts. Only evaluate_alerts
 * calls this function, under its lock. Returns the alert's id. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_alert(
    fingerprint text, kind text, subject text, title text, error_class text, error_message text, occurrences bigint,
    first_seen_at timestamptz, last_seen_at timestamptz, refs jsonb default '{}'
) returns uuid
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    message text := left(split_part(cogo_internal.redacted(left(raise_alert.error_message, 4000)), E'\n', 1), 1000);
    found_id uuid;
begin
    update public.alerts a set
        status = 'firing', resolved_at = null, resolution = null,
        count = a.count + raise_alert.occurrences,
        last_seen_at = greatest(a.last_seen_at, raise_alert.last_seen_at),
        title = left(raise_alert.title, 300), error_class = raise_alert.error_class, error_message = message,
        refs = coalesce(raise_alert.refs, '{}')
    where a.id = (
        select old.id from public.alerts old
        where old.fingerprint = raise_alert.fingerprint
          and (old.status = 'firing' or old.status = 'resolved' and old.resolved_at > at - interval '10 minutes')
        order by old.status = 'firing' desc, old.resolved_at desc limit 1)
    returning a.id into found_id;
    if found_id is null then
        insert into public.alerts (id, fingerprint, kind, subject, status, title, error_class, error_message, count,
                                   first_seen_at, last_seen_at, refs)
        values (cogo_internal.time_ordered_id(), raise_alert.fingerprint, raise_alert.kind, left(raise_alert.subject, 200), 'firing',
                left(raise_alert.title, 300), raise_alert.error_class, message, raise_alert.occurrences,
                raise_alert.first_seen_at, raise_alert.last_seen_at, coalesce(raise_alert.refs, '{}'))
        returning id into found_id;
    end if;
    return found_id;
end $$;

comment on function cogo_internal.raise_alert is 'Count a failure towards its alert, or open an alert.';
