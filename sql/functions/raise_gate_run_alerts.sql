/*
 * A part of evaluate_alerts: read the new gate runs of the last week in order. A failed run is counted towards the
 * alert of its type and branch, and a passed run resolves that alert. Returns how many runs were read. Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.raise_gate_run_alerts(batch_size integer) returns integer
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    gate record;
    gate_runs_read integer := 0;
    alert_key text;
begin
    for gate in
        select g.*, coalesce(g.eslint_artifact_id, g.junit_artifact_id, g.coverage_artifact_id) as report_id
        from public.gate_runs g
        where g.created_at > at - interval '7 days'
          and not exists (select from public.alert_promotions p where p.source = 'gate_runs' and p.key = g.id::text)
        order by g.created_at, g.id
        limit raise_gate_run_alerts.batch_size
    loop
        insert into public.alert_promotions (source, key) values ('gate_runs', gate.id::text);
        alert_key := cogo_internal.alert_fingerprint('gate_failed', gate.type || ' ' || gate.branch);
        if gate.status = 'fail' then
            perform cogo_internal.raise_alert(
                alert_key, 'gate_failed', gate.branch,
                format('The quality %s failed on %s', replace(gate.type, '_', ' '), gate.branch),
                'gate_failed',
                concat_ws(', ', 'Commit ' || left(gate.commit_sha, 12), 'lint errors: ' || gate.lint_errors,
                          'failed tests: ' || gate.tests_failed) || '.',
                1, gate.created_at, gate.created_at, jsonb_strip_nulls(jsonb_build_object('gate_run_id', gate.id, 'job_id', gate.job_id, 'artifact_id', gate.report_id)));
        else
            perform cogo_internal.resolve_alerts(
                array(select a.id from public.alerts a where a.fingerprint = alert_key and a.status = 'firing'),
                format('Commit %s passed.', left(gate.commit_sha, 12)));
        end if;
        gate_runs_read := gate_runs_read + 1;
    end loop;
    return gate_runs_read;
end $$;

comment on function cogo_internal.raise_gate_run_alerts is 'Raise alerts for failed gate runs.';
