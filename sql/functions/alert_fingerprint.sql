/*
 * The fingerprint of an alert about a named subject (a worker, a schedule, a branch): 16 hexadecimal digits. The
 * fingerprint of an alert about failed jobs is that of their error: see error_fingerprint.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.alert_fingerprint(kind text, subject text) returns text
language sql immutable set search_path = '' as $$
    select left(md5(alert_fingerprint.kind || E'\n' || alert_fingerprint.subject), 16)
$$;

comment on function cogo_internal.alert_fingerprint is 'The fingerprint of an alert about a named subject.';
