/*
 * A part of evaluate_alerts: count each new dead-lettered job once towards the alert of its cause. A retry
 * or replay does not resolve an alert: it is resolved when each of its jobs has ended, as dead_letter_state defines it.
 * Returns how many jobs were counted. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_dead_letter_alerts(batch_size integer) returns integer
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    cause record;
    counted integer := 0;
begin
    for cause in
        with uncounted as materialized (
            select d.job_id, d.type, d.error, d.failed_at, d.fingerprint from public.jobs_dlq d
            where not d.superseded and d.alerted_failed_at is distinct from d.failed_at
            order by d.failed_at
            limit raise_dead_letter_alerts.batch_size
            for update skip locked
        ), marked as (
            update public.jobs_dlq d set alerted_failed_at = uncounted.failed_at
            from uncounted where d.job_id = uncounted.job_id and not d.superseded
        )
        select l.fingerprint, count(*) as jobs,
            min(l.failed_at) as first_failed_at, max(l.failed_at) as last_failed_at,
            (array_agg(l.type order by l.failed_at desc))[1] as type,
            (array_agg(l.error order by l.failed_at desc))[1] as error,
            (array_agg(l.job_id order by l.failed_at desc))[1] as job_id
        from uncounted l group by 1
    loop
        perform cogo_internal.raise_alert(
            cause.fingerprint, 'job_failed', coalesce(cause.type, 'unknown'),
            format('Jobs of type %s fail: %s', coalesce(cause.type, 'unknown'), coalesce(cause.error ->> 'class', 'unknown')),
            cause.error ->> 'class', cause.error ->> 'message', cause.jobs, coalesce(cause.first_failed_at, at),
            coalesce(cause.last_failed_at, at), jsonb_build_object('job_id', cause.job_id));
        counted := counted + cause.jobs;
    end loop;

    -- It reads the dead-lettered jobs of each firing alert: once a minute.
    if not exists (select from public.alert_cursors c where c.source = 'open_letters' and c.seen_at > at - interval '1 minute') then
        insert into public.alert_cursors as c (source, seen_at) values ('open_letters', at)
        on conflict (source) do update set seen_at = at;
        perform cogo_internal.resolve_alerts(
            array(select a.id from public.alerts a
                  where a.kind = 'job_failed' and a.status = 'firing' and a.last_seen_at < at - interval '1 minute'
                    and cogo_internal.dead_letter_cause_state(a.fingerprint, a.first_seen_at) = 'ended'),
            'Each of its jobs succeeded after a retry or replay, failed with another cause, or was cancelled, discarded or purged.');
    end if;
    return counted;
end $$;

comment on function cogo_internal.raise_dead_letter_alerts is 'Raise alerts for dead-lettered jobs.';
