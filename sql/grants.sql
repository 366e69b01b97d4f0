-- Generated: run `uv run python -m docs.generate` after a change.
-- Applied last and after every change of a function: revokes all privileges, then grants them to service_role.
-- Revoked from public, anon and authenticated by name: from public alone leaves what Supabase granted anon directly.
-- Correct privileges are left unchanged: policies and row level security would lock a table exclusively.

do $roles$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- another session has created it
            end;
        end if;
    end loop;
end $roles$;

grant usage on schema public to service_role;

do $$
declare
    outsiders constant oid[] := array[0, 'anon'::regrole, 'authenticated'::regrole];
    table_name text;
    ours regclass;
    policy name;
    counter regclass;
begin
    foreach table_name in array array[
        'access_tokens',
        'alert_cursors',
        'alert_deliveries',
        'alert_promotions',
        'alert_silences',
        'alert_targets',
        'alerts',
        'artifact_stores',
        'artifacts',
        'bulk_action_jobs',
        'bulk_actions',
        'deadman',
        'deployment',
        'ended_claims',
        'ended_worker_totals',
        'executors',
        'gate_runs',
        'gate_snapshots',
        'job_attempts',
        'job_measures',
        'job_period_marks',
        'job_period_sums',
        'job_periods',
        'jobs',
        'jobs_dlq',
        'operations_log',
        'paused',
        'provider_health',
        'providers',
        'rate_limits',
        'run_failures',
        'secrets',
        'watched_conditions',
        'watched_schedules',
        'web_sessions',
        'weekly_summaries',
        'worker_devices',
        'worker_heartbeats',
        'worker_metrics',
        'workers'
    ] loop
        ours := to_regclass(format('public.%I', table_name));
        continue when ours is null;
        if exists (select from pg_catalog.pg_class c, aclexplode(c.relacl) a
                   where c.oid = ours and a.grantee = any (outsiders))
            or exists (select from pg_catalog.pg_attribute c, aclexplode(c.attacl) a
                       where c.attrelid = ours and a.grantee = any (outsiders)) then
            execute format('revoke all on %s from public, anon, authenticated', ours);
        end if;
        if not (select bool_and(has_table_privilege('service_role', ours, wanted))
                from unnest(array['select', 'insert', 'update', 'delete']) as wanted) then
            execute format('grant select, insert, update, delete on %s to service_role', ours);
        end if;
        for counter in
            select d.objid::regclass from pg_catalog.pg_depend d
            join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
            where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
              and d.refobjid = ours and d.deptype in ('a', 'i')
        loop
            execute format('revoke all on sequence %s from public, anon, authenticated', counter);
            execute format('grant usage on sequence %s to service_role', counter);
        end loop;
        continue when not (not (select c.relrowsecurity from pg_catalog.pg_class c where c.oid = ours)
            or (select coalesce(array_agg(p.polname::text), '{}') from pg_catalog.pg_policy p where p.polrelid = ours)
               <> array['service_role does all']);
        execute format('alter table %s enable row level security', ours);
        for policy in select p.polname from pg_catalog.pg_policy p where p.polrelid = ours loop
            execute format('drop policy %I on %s', policy, ours);
        end loop;
        execute format('create policy "service_role does all" on %s to service_role '
                       'using (true) with check (true)', ours);
    end loop;
end $$;

do $$
begin
    if to_regnamespace('cogo_internal') is null then
        return;
    end if;
    if has_schema_privilege('anon', 'cogo_internal', 'usage, create')
        or has_schema_privilege('authenticated', 'cogo_internal', 'usage, create') then
        revoke all on schema cogo_internal from public, anon, authenticated;
    end if;
    if not has_schema_privilege('service_role', 'cogo_internal', 'usage') then
        grant usage on schema cogo_internal to service_role;
    end if;
end $$;

do $$
declare
    ours regprocedure;
begin
    for ours in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace and n.nspname in ('public', 'cogo_internal')
        where p.proname = any (array[
            'access_token_row',
            'acquire_rate',
            'add_dead_letters',
            'add_ended_workers',
            'add_measures',
            'alert_document',
            'alert_fingerprint',
            'alert_is_inhibited',
            'alert_is_silenced',
            'alert_kinds',
            'alert_target_health',
            'announce',
            'announcement_is_settled',
            'artifact_row',
            'backoff_seconds',
            'bulk_action_row',
            'bulk_arguments',
            'bulk_result',
            'cancel_job',
            'cancel_jobs',
            'check_alert_kind',
            'check_metrics',
            'check_pausable',
            'check_provider',
            'check_rate_name',
            'check_reference',
            'check_replayable',
            'check_retryable',
            'check_search',
            'check_worker_id',
            'checked_json',
            'claim_alert_message',
            'claim_chosen_jobs',
            'claim_deadman_ping',
            'claim_jobs',
            'claim_one_job',
            'claim_unlocked',
            'claimed_job',
            'claimed_jobs',
            'cleanup_artifacts',
            'close_circuit',
            'close_removed_targets',
            'compact_job',
            'complete_job',
            'count_jobs',
            'count_operation',
            'count_query',
            'create_access_token',
            'create_artifacts',
            'create_report',
            'database_health',
            'dead_letter_cause_state',
            'dead_letter_row',
            'dead_letter_state',
            'delete_artifacts',
            'delete_old_rows',
            'delete_secret',
            'derived_ids',
            'discard_dlq',
            'end_alert_silence',
            'end_web_session',
            'enqueue_columns',
            'enqueue_jobs',
            'error_fingerprint',
            'evaluate_alerts',
            'explain_jobs',
            'explain_queue',
            'fail_job',
            'fail_unreadable_jobs',
            'find_attempt_jobs',
            'find_bulk_action',
            'find_cached_artifacts',
            'find_ids',
            'find_jobs',
            'finish_artifacts',
            'finish_report',
            'first_day',
            'forget_alert_target',
            'gate_run_row',
            'gate_summary',
            'get_artifacts',
            'get_gate_run',
            'get_jobs',
            'get_secret',
            'has_finished_jobs',
            'health_facts',
            'held_snapshot',
            'invalid_argument',
            'is_known_name',
            'is_small_json',
            'job_context',
            'job_history',
            'job_history_by_type',
            'job_numbers',
            'job_row',
            'json_fault',
            'list_abandoned_artifacts',
            'list_access_tokens',
            'list_alert_deliveries',
            'list_alert_silences',
            'list_alerts',
            'list_artifacts',
            'list_bulk_actions',
            'list_dlq',
            'list_gate_runs',
            'list_gate_snapshots',
            'list_heartbeats',
            'list_incidents',
            'list_jobs',
            'list_lease_losses',
            'list_operations',
            'list_pages',
            'list_paused',
            'list_provider_health',
            'list_providers',
            'list_rate_limits',
            'list_secrets',
            'list_unknown_objects',
            'list_unrotated_secrets',
            'list_weekly_summaries',
            'list_workers',
            'lock_claims',
            'log_operation',
            'look_at_job',
            'measure_jobs',
            'median_and_p95',
            'metric_totals',
            'new_job_rows',
            'next_due',
            'note_operation',
            'open_circuit',
            'open_web_session',
            'pause',
            'paused_types',
            'payload_subject',
            'percentage',
            'plan_alert_deliveries',
            'plan_bulk_action',
            'promote_alerts',
            'purge_jobs',
            'query_jobs',
            'queue_depth',
            'queue_groups',
            'queue_lanes',
            'queue_numbers',
            'queue_stats',
            'raise_alert',
            'raise_condition_alerts',
            'raise_dead_letter_alerts',
            'raise_gate_run_alerts',
            'raise_provider_alerts',
            'raise_run_failure_alerts',
            'raise_schedule_alerts',
            'raise_snapshot_alerts',
            'raise_stranded_alerts',
            'raise_target_alerts',
            'raise_worker_alerts',
            'readable_json',
            'record_alert_target',
            'record_gate_run',
            'record_heartbeat',
            'record_outage',
            'record_provider_health',
            'record_run_failures',
            'record_run_successes',
            'record_token_use',
            'recover_leases',
            'redacted',
            'register_alert_targets',
            'register_worker',
            'registered_families',
            'remove_provider',
            'renew_leases',
            'repeated_batch',
            'replay_alert_deliveries',
            'replay_count',
            'replay_dlq',
            'replay_key_holder',
            'replay_results',
            'report_conditions',
            'report_stuck_worker',
            'requeue_instance',
            'requeue_job',
            'resolve_alerts',
            'resume',
            'retry_failed',
            'revoke_access_token',
            'roll_up_jobs',
            'roll_up_measures',
            'rotate_secrets',
            'rotate_store_marker',
            'run_bulk_action',
            'running_jobs',
            'schema_version',
            'search_conditions',
            'search_ids',
            'search_jobs',
            'search_sources',
            'search_time',
            'seconds_between',
            'secret_row',
            'select_for_action',
            'select_provider',
            'send_wakeup',
            'set_payload_limit',
            'set_provider',
            'set_secret',
            'settle_alert_message',
            'settle_jobs',
            'settle_one',
            'settle_with_artifacts',
            'silence_alerts',
            'similar_failures',
            'skip_target_messages',
            'snooze_job',
            'start_jobs',
            'status_after',
            'stop_bulk_action',
            'stop_worker',
            'store_gate_snapshot',
            'store_weekly_summary',
            'stored_error',
            'stored_measures',
            'stored_numbers',
            'succeed_jobs',
            'succeeded_since',
            'suggest_values',
            'sum_of_periods',
            'three_digits',
            'time_ordered_id',
            'uncounted_ranges',
            'undo_discard',
            'use_access_token',
            'use_web_session',
            'valid_counters',
            'valid_latency',
            'wait_quantiles',
            'wake_workers',
            'watch_schedules',
            'web_session_row',
            'weekly_numbers',
            'weighted_quantiles',
            'window_is_complete',
            'window_outcome',
            'window_row',
            'worker_is_alive',
            'worker_is_replaced',
            'worker_totals'
        ]::text[])
    loop
        if has_function_privilege('anon', ours, 'execute')
            or has_function_privilege('authenticated', ours, 'execute') then
            execute format('revoke all on function %s from public, anon, authenticated', ours);
        end if;
        if not has_function_privilege('service_role', ours, 'execute') then
            execute format('grant execute on function %s to service_role', ours);
        end if;
    end loop;
end $$;

-- PostgREST reloads its cache of the schema; without one listening this does nothing.
notify pgrst, 'reload schema';
