-- Applied last and after every change of a function: nobody may do anything, then service_role may.
-- Revoked from public, anon and authenticated by name: from public alone leaves what Supabase granted anon directly.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- another session was faster
            end;
        end if;
    end loop;
end $$;

grant usage on schema public to service_role;

do $$
declare
    table_name text;
    policy record;
    counter regclass;
begin
    foreach table_name in array array[
        'artifacts',
        'deployment',
        'executors',
        'gate_runs',
        'gate_snapshots',
        'job_attempts',
        'jobs',
        'jobs_dlq',
        'operations_log',
        'paused',
        'provider_health',
        'providers',
        'rate_limits',
        'secrets',
        'weekly_summaries',
        'worker_devices',
        'worker_heartbeats',
        'worker_metrics',
        'workers'
    ] loop
        execute format('alter table public.%I enable row level security', table_name);
        execute format('revoke all on public.%I from public, anon, authenticated', table_name);
        execute format('grant select, insert, update, delete on public.%I to service_role', table_name);
        for counter in
            select d.objid::regclass from pg_catalog.pg_depend d
            join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
            where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
              and d.refobjid = format('public.%I', table_name)::regclass and d.deptype in ('a', 'i')
        loop
            execute format('revoke all on sequence %s from public, anon, authenticated', counter);
            execute format('grant usage on sequence %s to service_role', counter);
        end loop;
        for policy in select policyname from pg_catalog.pg_policies
            where schemaname = 'public' and tablename = table_name and policyname <> 'service_role does all'
        loop
            execute format('drop policy %I on public.%I', policy.policyname, table_name);
        end loop;
        if not exists (select from pg_catalog.pg_policies
                       where schemaname = 'public' and tablename = table_name and policyname = 'service_role does all') then
            execute format('create policy "service_role does all" on public.%I to service_role using (true) with check (true)',
                           table_name);
        end if;
    end loop;
end $$;

do $$
declare
    ours regprocedure;
begin
    for ours in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.proname = any (array[
            'acquire_rate',
            'artifact_row',
            'backoff_seconds',
            'bulk_answer',
            'bulk_arguments',
            'cancel_job',
            'claim_chosen_jobs',
            'claim_jobs',
            'claim_one_job',
            'claimed_job',
            'cleanup_artifacts',
            'close_circuit',
            'complete_job',
            'create_artifacts',
            'create_report',
            'dead_letter',
            'delete_artifacts',
            'delete_secret',
            'derived_ids',
            'enqueue_jobs',
            'error_fingerprint',
            'explain_jobs',
            'fail_job',
            'find_cached_artifacts',
            'finish_artifacts',
            'finish_report',
            'gate_run_row',
            'gate_summary',
            'get_jobs',
            'get_secret',
            'health_facts',
            'invalid_argument',
            'job_row',
            'list_abandoned_artifacts',
            'list_artifacts',
            'list_dlq',
            'list_gate_runs',
            'list_gate_snapshots',
            'list_heartbeats',
            'list_incidents',
            'list_jobs',
            'list_operations',
            'list_paused',
            'list_provider_health',
            'list_providers',
            'list_rate_limits',
            'list_secrets',
            'list_unknown_objects',
            'list_unrotated_secrets',
            'list_weekly_summaries',
            'list_workers',
            'log_operation',
            'median_and_p95',
            'open_circuit',
            'pause',
            'paused_types',
            'per_cent',
            'purge_jobs',
            'queue_stats',
            'record_gate_run',
            'record_heartbeat',
            'record_provider_health',
            'recover_leases',
            'refuse_provider',
            'refuse_rate_name',
            'refuse_reference',
            'refuse_unpausable',
            'refuse_unreplayable',
            'refuse_unretryable',
            'register_worker',
            'remove_provider',
            'renew_leases',
            'repeated_batch',
            'replay_count',
            'replay_dlq',
            'requeue_instance',
            'requeue_job',
            'resume',
            'retry_failed',
            'rotate_secrets',
            'schema_version',
            'secret_row',
            'select_provider',
            'set_provider',
            'set_secret',
            'send_wakeup',
            'settle_jobs',
            'settle_one',
            'snooze_job',
            'start_jobs',
            'status_after',
            'stop_worker',
            'store_gate_snapshot',
            'store_weekly_summary',
            'time_ordered_id',
            'wake_workers',
            'weekly_numbers',
            'window_is_complete',
            'window_outcome',
            'window_row',
            'worker_is_alive'
        ])
    loop
        execute format('revoke execute on function %s from public, anon, authenticated', ours);
        execute format('grant execute on function %s to service_role', ours);
    end loop;
end $$;

-- PostgREST reloads its cache of the schema; without one listening this does nothing.
notify pgrst, 'reload schema';
