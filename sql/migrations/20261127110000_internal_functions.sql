-- Functions that only other functions call move to a schema that no API exposes. error_fingerprint stays in public:
-- the generated column jobs_dlq.fingerprint stands on it.
create schema if not exists cogo_internal;
revoke all on schema cogo_internal from public, anon, authenticated;
grant usage on schema cogo_internal to service_role;
comment on schema cogo_internal is 'Functions that only the functions of schema public call.';

-- The old ones stay for calls that began before, and are dropped by their comment in a transaction of its own.
do $$
declare
    ours regprocedure;
begin
    for ours in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        where p.pronamespace = 'public'::regnamespace and obj_description(p.oid, 'pg_proc') is not null
          and not has_function_privilege('anon', p.oid, 'execute') and p.proname = any (array[
        'access_token_row', 'add_dead_letters', 'alert_document', 'alert_fingerprint', 'alert_is_inhibited',
        'alert_is_silenced', 'artifact_row', 'backoff_seconds', 'bulk_answer', 'bulk_arguments', 'check_metrics',
        'check_worker_id', 'checked_json', 'claimed_job', 'counters_of', 'dead_letter', 'derived_ids', 'gate_run_row',
        'invalid_argument', 'is_small_json', 'job_row', 'json_fault', 'key_holder', 'log_operation', 'median_and_p95',
        'new_jobs', 'note_token_use', 'paused_types', 'per_cent', 'plan_alert_deliveries', 'promote_conditions',
        'promote_dead_letters', 'promote_gate_runs', 'promote_providers', 'promote_run_failures', 'promote_schedules',
        'promote_targets', 'promote_workers', 'raise_alert', 'readable_json', 'redacted', 'refuse_provider',
        'refuse_rate_name', 'refuse_reference', 'refuse_unpausable', 'refuse_unreplayable', 'refuse_unretryable',
        'register_alert_targets', 'repeated_batch', 'replay_count', 'resolve_alerts', 'seconds_between', 'secret_row',
        'settle_one', 'status_after', 'stored_error', 'time_ordered_id', 'wake_workers', 'web_session_row',
        'window_is_complete', 'window_outcome', 'window_row', 'worker_is_alive'
        ])
    loop
        execute format('comment on function %s is %L', ours, 'Replaced: dropped after the calls that began before.');
    end loop;
end $$;
