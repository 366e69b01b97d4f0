/*
 * Stop deliveries of certain alerts for a while: they are still counted, and delivered afterwards if they still fire.
 *
 * silence_id       A new uuid that makes the call repeatable
 * fingerprint, kind, subject_prefix   Which alerts; all that are given must match, and at least one is required. A
 *                  fingerprint must be that of an alert, a kind as in check_alert_kind
 * duration_seconds Up to 30 days
 * author           Who silences them
 *
 * Returns {"silence_id", "ends_at", "alerts": how many firing alerts match}. Errors: CQ005.
 */
create or replace function public.silence_alerts(
    silence_id uuid, fingerprint text, kind text, subject_prefix text, duration_seconds double precision, author text,
    reason text default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    until timestamptz;
begin
    if coalesce(nullif(silence_alerts.fingerprint, ''), nullif(silence_alerts.kind, ''), nullif(silence_alerts.subject_prefix, '')) is null then
        perform cogo_internal.invalid_argument('A silence needs a fingerprint, a kind or a subject prefix.');
    end if;
    perform cogo_internal.check_alert_kind(silence_alerts.kind);
    if not exists (select from public.alerts a where a.fingerprint = silence_alerts.fingerprint) and silence_alerts.fingerprint is not null then
        perform cogo_internal.invalid_argument(format('No alert has the fingerprint %s: `cogo alerts list` shows them.',
                                               quote_literal(left(silence_alerts.fingerprint, 100))));
    end if;
    if coalesce(silence_alerts.duration_seconds, 0) <= 0 or silence_alerts.duration_seconds > 2592000 then
        perform cogo_internal.invalid_argument('duration_seconds must be above 0 and at most 30 days.');
    end if;
    if silence_alerts.silence_id is null or coalesce(length(silence_alerts.author), 0) = 0 then
        perform cogo_internal.invalid_argument('silence_id and author must be given.');
    end if;
    insert into public.alert_silences as s (id, fingerprint, kind, subject_prefix, author, reason, created_at, ends_at)
    values (silence_alerts.silence_id, silence_alerts.fingerprint, silence_alerts.kind, silence_alerts.subject_prefix,
            left(silence_alerts.author, 200), left(silence_alerts.reason, 1000), at,
            at + make_interval(secs => silence_alerts.duration_seconds))
    on conflict (id) do nothing;
    if found then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', silence_alerts.author), 'silence_alerts',
            jsonb_build_object('fingerprint', silence_alerts.fingerprint, 'kind', silence_alerts.kind,
                               'subject_prefix', silence_alerts.subject_prefix, 'reason', left(silence_alerts.reason, 1000)),
            '{"matched": 1, "changed": 1, "skipped": 0}');
    end if;
    select s.ends_at into until from public.alert_silences s where s.id = silence_alerts.silence_id;
    return jsonb_build_object(
        'silence_id', silence_alerts.silence_id, 'ends_at', until,
        'alerts', (select count(*) from public.alerts a where a.status = 'firing'
                   and (silence_alerts.fingerprint is null or a.fingerprint = silence_alerts.fingerprint)
                   and (silence_alerts.kind is null or a.kind = silence_alerts.kind)
                   and (silence_alerts.subject_prefix is null or starts_with(a.subject, silence_alerts.subject_prefix))));
end $$;

comment on function public.silence_alerts is 'Stop deliveries of certain alerts for a while.';
