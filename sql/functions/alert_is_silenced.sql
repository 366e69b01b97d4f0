/*
 * Whether a silence of this alert is active at a time, or was at any later time. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.alert_is_silenced(alert public.alerts, since timestamptz) returns boolean
language sql stable set search_path = '' as $$
    select exists (
        select from public.alert_silences s
        where s.ends_at > alert_is_silenced.since
          and (s.fingerprint is null or s.fingerprint = alert.fingerprint)
          and (s.kind is null or s.kind = alert.kind)
          and (s.subject_prefix is null or starts_with(alert.subject, s.subject_prefix)))
$$;

comment on function cogo_internal.alert_is_silenced is 'Whether an alert is silenced.';
