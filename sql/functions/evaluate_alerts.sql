/*
 * Raise alerts for failures, resolve the alerts whose failure is over, and plan what each target receives. Any process
 * may call it at any time; one call runs at a time, the others return `busy`. Each failure is counted once, however
 * often it is called.
 *
 * targets         [{"target", "address_digest"}]: the targets of the caller
 * repeat_seconds  An alert that still fires is delivered again after this time, as ×N since
 * batch_size      The maximum number of dead-lettered jobs, gate runs and Dagster runs each
 * stranded_seconds  How long jobs must have been due for an alert that no live worker can claim them
 *
 * Returns {"busy", "promoted": how many failures became alerts, by source: {"dead_letters", "gate_runs", "workers",
 * "providers", "runs", "schedules", "conditions", "stranded", "targets"}, "planned", "more"}; call again while `more`. Errors: CQ005.
 */
create or replace function public.evaluate_alerts(
    targets jsonb default '[]', repeat_seconds double precision default 1800, batch_size integer default 5000,
    stranded_seconds double precision default 900
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    counts jsonb;
begin
    if coalesce(evaluate_alerts.repeat_seconds, 0) <= 0 or coalesce(evaluate_alerts.batch_size, 0) not between 1 and 10000
       or coalesce(evaluate_alerts.stranded_seconds, -1) < 0 then
        perform cogo_internal.invalid_argument('repeat_seconds must be above 0, batch_size 1 to 10000, and stranded_seconds 0 or more.');
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended('cogo promote_alerts', 0)) then
        return '{"busy": true, "promoted": {}, "planned": 0, "more": false}';
    end if;
    perform cogo_internal.register_alert_targets(evaluate_alerts.targets);
    counts := jsonb_build_object(
        'dead_letters', cogo_internal.raise_dead_letter_alerts(evaluate_alerts.batch_size),
        'gate_runs', cogo_internal.raise_gate_run_alerts(evaluate_alerts.batch_size),
        'workers', cogo_internal.raise_worker_alerts(),
        'providers', cogo_internal.raise_provider_alerts(),
        'runs', cogo_internal.raise_run_failure_alerts(evaluate_alerts.batch_size),
        'schedules', cogo_internal.raise_schedule_alerts(),
        'conditions', cogo_internal.raise_condition_alerts() + cogo_internal.raise_snapshot_alerts(),
        'stranded', cogo_internal.raise_stranded_alerts(evaluate_alerts.stranded_seconds),
        'targets', cogo_internal.raise_target_alerts() + cogo_internal.close_removed_targets());
    insert into public.alert_cursors as c (source, seen_at) values ('promote_alerts', at)
    on conflict (source) do update set seen_at = at;
    return jsonb_build_object(
        'busy', false, 'promoted', counts, 'planned', cogo_internal.plan_alert_deliveries(evaluate_alerts.repeat_seconds),
        'more', (counts ->> 'dead_letters')::integer >= evaluate_alerts.batch_size
             or (counts ->> 'gate_runs')::integer >= evaluate_alerts.batch_size
             or (counts ->> 'runs')::integer >= evaluate_alerts.batch_size);
end $$;

comment on function public.evaluate_alerts is 'Raise alerts for failures, each once, and plan their deliveries.';
