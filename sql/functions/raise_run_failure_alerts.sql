/*
 * A part of evaluate_alerts: count each failed Dagster run once towards the alert of its Dagster job, op and error
 * class. See record_run_failures and record_run_successes. Returns how many runs were counted. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_run_failure_alerts(batch_size integer) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    cause record;
    counted integer := 0;
begin
    for cause in
        with failed as (
            update public.run_failures f set promoted_at = at
            where f.run_id in (select u.run_id from public.run_failures u where u.promoted_at is null
                               order by u.recorded_at limit raise_run_failure_alerts.batch_size for update skip locked)
            returning f.*
        )
        select f.job_name, f.op_name, f.error_class, count(*) as runs, min(f.failed_at) as first_failed_at,
            max(f.failed_at) as last_failed_at, (array_agg(f.error_message order by f.failed_at desc))[1] as message,
            (array_agg(f.run_id order by f.failed_at desc))[1] as run_id
        from failed f group by 1, 2, 3
    loop
        perform cogo_internal.raise_alert(
            cogo_internal.alert_fingerprint('run_failed', concat_ws(E'\n', cause.job_name, cause.op_name, cause.error_class)),
            'run_failed', cause.job_name,
            case when cause.op_name is null then format('A run of the Dagster job %s crashed', cause.job_name)
                 else format('The Dagster job %s fails in %s', cause.job_name, cause.op_name) end,
            cause.error_class, cause.message, cause.runs, cause.first_failed_at, cause.last_failed_at,
            jsonb_strip_nulls(jsonb_build_object('run_id', cause.run_id, 'op_name', cause.op_name)));
        counted := counted + cause.runs;
    end loop;
    perform cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              where a.kind = 'run_failed' and a.status = 'firing' and a.last_seen_at < at - interval '7 days'),
        'The Dagster job has not failed again for a week.');
    return counted;
end $$;

comment on function cogo_internal.raise_run_failure_alerts is 'Raise alerts for failed Dagster runs.';
