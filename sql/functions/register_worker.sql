/*
 * Register a worker instance: its own row, its device's row, its executor's row. Safe to repeat.
 *
 * heartbeat_seconds   the interval of record_heartbeat: above 0, at most a day
 * device              {"hostname", "platform", "python", "cpu_count", …}: the machine; at most 20,000 bytes
 *
 * Errors: CQ005.
 */
create or replace function public.register_worker(
    instance_id uuid, worker_id text, families jsonb, executor_id text default null, concurrency integer default 1,
    pid integer default null, code_version text default null, dagster_run_id text default null,
    heartbeat_seconds double precision default 10, device jsonb default '{}'
) returns jsonb
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
begin
    if coalesce(register_worker.worker_id, '') = '' then
        perform cogo_internal.invalid_argument('worker_id must not be empty.');
    end if;
    perform cogo_internal.check_worker_id(register_worker.worker_id);
    perform cogo_internal.check_worker_id(register_worker.executor_id, 'executor_id');
    perform case
        when jsonb_typeof(register_worker.families) is distinct from 'array' or jsonb_array_length(register_worker.families) > 1000
             or octet_length(register_worker.families::text) > 100000
            then cogo_internal.invalid_argument('families must be an array of at most 1,000 names.')
        when register_worker.concurrency is null or register_worker.concurrency not between 0 and 100000
            then cogo_internal.invalid_argument('concurrency must be 0 to 100000.')
        when (register_worker.heartbeat_seconds > 0 and register_worker.heartbeat_seconds <= 86400) is not true
            then cogo_internal.invalid_argument('heartbeat_seconds must be above 0 and at most a day.')
        when length(register_worker.code_version) > 200 or length(register_worker.dagster_run_id) > 200
             or length(register_worker.device ->> 'hostname') > 255
            then cogo_internal.invalid_argument('code_version and dagster_run_id must have at most 200 characters, the hostname 255.')
        when jsonb_typeof(coalesce(register_worker.device, '{}')) <> 'object'
            then cogo_internal.invalid_argument('device must be an object of at most 20,000 bytes.')
        when not cogo_internal.is_small_json(register_worker.device)
             and octet_length(cogo_internal.checked_json(register_worker.device, 'device')::text) > 20000
            then cogo_internal.invalid_argument('device must be an object of at most 20,000 bytes.')
    end;
    insert into public.workers as w (instance_id, worker_id, executor_id, families, hostname, pid, code_version,
                                     dagster_run_id, concurrency, heartbeat_seconds, started_at, last_heartbeat_at)
    values (register_worker.instance_id, register_worker.worker_id, register_worker.executor_id,
            array(select jsonb_array_elements_text(register_worker.families)), register_worker.device ->> 'hostname',
            register_worker.pid, register_worker.code_version, register_worker.dagster_run_id,
            register_worker.concurrency, register_worker.heartbeat_seconds, at, at)
    on conflict (instance_id) do update set last_heartbeat_at = at;

    insert into public.worker_devices as d (worker_id, hostname, device, created_at, last_seen_at)
    values (register_worker.worker_id, register_worker.device ->> 'hostname', register_worker.device, at, at)
    on conflict (worker_id) do update set hostname = excluded.hostname, device = excluded.device, last_seen_at = at;

    if register_worker.executor_id is not null then
        insert into public.executors as e (id, last_seen_at) values (register_worker.executor_id, at)
        on conflict (id) do update set last_seen_at = at;
    end if;
    return jsonb_build_object('instance_id', register_worker.instance_id);
end $$;

comment on function public.register_worker is 'Register a worker instance.';
