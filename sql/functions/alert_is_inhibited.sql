/*
 * Whether another alert explains this one and holds it back, for at most an hour: failed jobs and silent workers while
 * the database was unreachable and for two minutes after that, jobs of lost workers while a worker is dead, jobs of a
 * family while the provider of the same name is unreachable, stranded jobs while a sensor reports that no worker runs their
 * family. An alert that still fires when its cause is resolved is delivered then. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.alert_is_inhibited(alert public.alerts, at timestamptz) returns boolean
language sql stable set search_path = '' as $$
    select alert.kind in ('job_failed', 'worker_dead', 'jobs_stranded') and alert.first_seen_at > alert_is_inhibited.at - interval '1 hour'
        and exists (
            select from public.alerts cause
            where (cause.status = 'firing' or cause.resolved_at > alert_is_inhibited.at - interval '2 minutes')
              and case cause.kind
                  when 'database_down' then alert.first_seen_at >= cause.first_seen_at - interval '1 minute'
                  when 'worker_dead' then alert.kind = 'job_failed' and alert.error_class = 'lease_expired'
                      and cause.status = 'firing'
                  when 'provider_unreachable' then alert.kind = 'job_failed' and cause.status = 'firing'
                      and split_part(alert.subject, '.', 1) = cause.subject
                  when 'no_worker_for_family' then alert.kind = 'jobs_stranded' and cause.status = 'firing'
                      and split_part(alert.subject, ' ', 1) = cause.subject
                  else false end)
$$;

comment on function cogo_internal.alert_is_inhibited is 'Whether another alert explains this one.';
