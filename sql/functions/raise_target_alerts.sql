/*
 * A part of evaluate_alerts: raise an alert, for the other targets, about a target that is disabled, rejects messages or
 * has failed three times in a row, until a message reaches it. Returns how many alerts are new. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_target_alerts() returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    failing record;
    raised integer := 0;
begin
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a join public.alert_targets t on t.target = a.subject
              where a.kind = 'target_failing' and a.status = 'firing' and (t.consecutive_failures = 0 and t.disabled_at is null or t.removed_at is not null)),
        'Messages reach the target again, or it was removed.');
    for failing in
        select t.* from public.alert_targets t
        where t.last_seen_at > at - interval '7 days' and t.removed_at is null
          and (t.disabled_at is not null or t.consecutive_failures >= 3
               or t.consecutive_failures > 0 and t.last_error ->> 'retryable' = 'false')
          and not exists (select from public.alerts a
                          where a.kind = 'target_failing' and a.subject = t.target and a.status = 'firing')
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('target_failing', failing.target), 'target_failing', failing.target,
            format('Alerts do not reach %s', failing.target), failing.last_error ->> 'class', failing.last_error ->> 'message',
            1, coalesce(failing.last_failure_at, at), coalesce(failing.last_failure_at, at));
        raised := raised + 1;
    end loop;
    return raised;
end $$;

comment on function cogo_internal.raise_target_alerts is 'Raise alerts for targets that messages do not reach.';
