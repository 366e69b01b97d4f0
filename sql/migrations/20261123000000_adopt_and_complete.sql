-- Brings every COGO database, fresh or years in use, to one shape, and keeps every row.
-- Fresh: adds what the six files above leave out. In use: also converts old column types and status words.
-- Drain the old workers first: they update jobs without a lease token.

-- 1. What an older schema may have put in the way: constraints, indexes, policies, triggers and functions of the old code.
do $$
declare
    ours constant regclass[] := array['public.executors', 'public.jobs', 'public.worker_heartbeats',
                                      'public.worker_devices', 'public.artifacts', 'public.jobs_dlq'];
    old record;
begin
    -- Foreign keys go before what they refer to.
    for old in
        select conrelid::regclass as of_table, conname from pg_catalog.pg_constraint
        where contype in ('c', 'f', 'u')
          and connamespace = 'public'::regnamespace
          and (conrelid = any (ours) or confrelid = any (ours))
        order by contype
    loop
        execute format('alter table %s drop constraint %I', old.of_table, old.conname);
    end loop;

    -- Every index of jobs is written by every change of a job, and one of the names below may mean something else;
    -- on the other tables only unique ones can refuse our rows.
    for old in
        select indexrelid::regclass as name from pg_catalog.pg_index
        where not indisprimary and (indrelid = 'public.jobs'::regclass or indisunique and indrelid = any (ours))
    loop
        execute format('drop index %s', old.name);
    end loop;

    for old in
        select tgrelid::regclass as of_table, tgname from pg_catalog.pg_trigger
        where not tgisinternal
          and tgrelid = any (array['public.jobs', 'public.artifacts', 'public.jobs_dlq']::regclass[])
    loop
        execute format('drop trigger %I on %s', old.tgname, old.of_table);
    end loop;

    for old in
        select tablename, policyname from pg_catalog.pg_policies
        where schemaname = 'public'
          and tablename in ('executors', 'jobs', 'worker_heartbeats', 'worker_devices', 'artifacts', 'jobs_dlq', 'workers')
          and policyname <> 'service_role does all'
    loop
        execute format('drop policy %I on public.%I', old.policyname, old.tablename);
    end loop;

    -- `create or replace` refuses another return type, and other arguments would make our calls ambiguous.
    for old in
        select oid::regprocedure as signature from pg_catalog.pg_proc
        where pronamespace = 'public'::regnamespace and proname = any (array[
            'cancel_job', 'claim_jobs', 'claim_one_job', 'complete_job', 'create_artifacts', 'delete_artifacts',
            'enqueue_jobs', 'fail_job', 'finish_artifacts', 'get_jobs', 'list_abandoned_artifacts', 'list_artifacts',
            'list_dlq', 'list_heartbeats', 'list_jobs', 'list_workers', 'queue_stats', 'record_heartbeat',
            'recover_leases', 'register_worker', 'renew_leases', 'requeue_instance', 'requeue_job', 'schema_version',
            'settle_jobs', 'snooze_job', 'start_jobs', 'stop_worker'])
    loop
        execute format('drop function %s', old.signature);
    end loop;
end $$;

-- 2. One type for each column that exists already under another one.
create function pg_temp.type_of(of_table text, column_name text) returns text language sql as $$
    select format_type(atttypid, null) from pg_catalog.pg_attribute
    where attrelid = format('public.%I', of_table)::regclass and attname = column_name and not attisdropped
$$;

create function pg_temp.convert(of_table text, column_name text, wanted text, conversion text) returns void
language plpgsql as $$
begin
    if coalesce(pg_temp.type_of(of_table, column_name), wanted) = wanted then
        return;  -- it is right, or not there yet
    end if;
    execute format('alter table public.%1$I alter column %2$I drop default', of_table, column_name);
    execute format('alter table public.%1$I alter column %2$I drop identity if exists', of_table, column_name);
    execute format('alter table public.%1$I alter column %2$I type %3$s using %4$s',
                   of_table, column_name, wanted, conversion);
end $$;

-- A number becomes the uuid that spells it in hexadecimal, so that old references still find their row.
create function pg_temp.uuid_conversion(of_table text, column_name text) returns text language sql as $$
    select case when pg_temp.type_of(of_table, column_name) in ('bigint', 'integer', 'smallint')
        then format('lpad(to_hex(%I), 32, ''0'')::uuid', column_name)
        else format('%I::text::uuid', column_name) end
$$;

-- Text that is not a document becomes the message of one.
create function pg_temp.document_conversion(of_table text, column_name text) returns text language sql as $$
    select case when pg_temp.type_of(of_table, column_name) = 'json' then format('%I::jsonb', column_name)
        else format('case when %1$I is null then null else jsonb_build_object(''class'', ''unknown'', ''message'', %1$I::text) end',
                    column_name) end
$$;

do $$
declare
    target record;
begin
    for target in
        select * from (values ('jobs', 'id'), ('artifacts', 'id'), ('artifacts', 'job_id'), ('jobs_dlq', 'job_id')) as t(name, col)
    loop
        perform pg_temp.convert(target.name, target.col, 'uuid', pg_temp.uuid_conversion(target.name, target.col));
    end loop;

    for target in
        select * from (values ('jobs', 'type'), ('jobs', 'status'), ('jobs', 'executor_id'), ('jobs', 'worker_id'),
                              ('jobs', 'idempotency_key'), ('executors', 'id'), ('worker_heartbeats', 'worker_id'),
                              ('worker_devices', 'worker_id'), ('jobs_dlq', 'type'), ('jobs_dlq', 'executor_id'),
                              ('jobs_dlq', 'reason')) as t(name, col)
    loop
        perform pg_temp.convert(target.name, target.col, 'text', format('%I::text', target.col));
    end loop;

    for target in
        select * from (values ('jobs', 'payload'), ('jobs', 'result'), ('jobs', 'error'), ('jobs_dlq', 'payload'),
                              ('jobs_dlq', 'error'), ('worker_heartbeats', 'metrics'),
                              ('worker_devices', 'device')) as t(name, col)
    loop
        perform pg_temp.convert(target.name, target.col, 'jsonb', pg_temp.document_conversion(target.name, target.col));
    end loop;

    for target in
        select c.table_name as name, c.column_name as col, c.column_default is not null as fills_itself
        from information_schema.columns c
        where c.table_schema = 'public' and c.data_type = 'timestamp without time zone'
          and c.table_name in ('executors', 'jobs', 'worker_heartbeats', 'worker_devices', 'artifacts', 'jobs_dlq')
    loop
        perform pg_temp.convert(target.name, target.col, 'timestamp with time zone',
                                format('%I at time zone ''UTC''', target.col));
        if target.fills_itself then
            execute format('alter table public.%I alter column %I set default now()', target.name, target.col);
        end if;
    end loop;
end $$;

-- 3. Every column, where it is missing.
alter table public.executors
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists last_seen_at timestamptz;

alter table public.jobs
    add column if not exists type text not null default 'unknown',
    add column if not exists status text not null default 'queued',
    add column if not exists payload jsonb not null default '{}',
    add column if not exists executor_id text,
    add column if not exists attempts integer not null default 0,
    add column if not exists max_attempts integer not null default 5,
    add column if not exists idempotency_key text,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists next_run_at timestamptz not null default now(),
    add column if not exists lease_token uuid,
    add column if not exists lease_expires_at timestamptz,
    add column if not exists worker_id text,
    add column if not exists family text generated always as (split_part(type, '.', 1)) stored,
    add column if not exists priority smallint not null default 5,
    add column if not exists snoozes integer not null default 0,
    add column if not exists cancel_requested boolean not null default false,
    add column if not exists timeout_seconds double precision,
    add column if not exists instance_id uuid,
    add column if not exists claimed_at timestamptz,
    add column if not exists started_at timestamptz,
    add column if not exists finished_at timestamptz,
    add column if not exists run_seconds double precision,
    add column if not exists result jsonb,
    add column if not exists error jsonb;

alter table public.worker_heartbeats
    add column if not exists worker_id text,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists instance_id uuid,
    add column if not exists running integer not null default 0,
    add column if not exists metrics jsonb not null default '{}';

alter table public.worker_devices
    add column if not exists worker_id text,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists last_seen_at timestamptz not null default now(),
    add column if not exists hostname text,
    add column if not exists device jsonb not null default '{}';

alter table public.artifacts
    add column if not exists job_id uuid,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists expires_at timestamptz,
    add column if not exists lease_token uuid,
    add column if not exists attempt integer,
    add column if not exists name text,
    add column if not exists content_type text,
    add column if not exists size_bytes bigint,
    add column if not exists sha256 text,
    add column if not exists storage_key text,
    add column if not exists status text not null default 'ready',
    add column if not exists ready_at timestamptz;

alter table public.jobs_dlq
    add column if not exists job_id uuid,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists type text,
    add column if not exists payload jsonb,
    add column if not exists executor_id text,
    add column if not exists priority smallint,
    add column if not exists max_attempts integer,
    add column if not exists timeout_seconds double precision,
    add column if not exists attempts integer,
    add column if not exists reason text,
    add column if not exists error jsonb,
    add column if not exists failed_at timestamptz,
    add column if not exists closed_at timestamptz,
    add column if not exists replayed_at timestamptz,
    add column if not exists replayed_job_id uuid,
    add column if not exists superseded boolean not null default false;

create table if not exists public.workers (instance_id uuid primary key default gen_random_uuid());
do $access$ begin
    revoke all on public.workers from public, anon, authenticated;
    grant select, insert, update, delete on public.workers to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.workers'::regclass) then
        alter table public.workers enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'workers'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.workers to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.workers'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
select pg_temp.convert('workers', col, 'text', format('%I::text', col))
from unnest(array['worker_id', 'executor_id', 'hostname', 'code_version', 'dagster_run_id']) as col;
alter table public.workers
    add column if not exists instance_id uuid default gen_random_uuid(),
    add column if not exists worker_id text,
    add column if not exists executor_id text,
    add column if not exists families text[] not null default '{}',
    add column if not exists hostname text,
    add column if not exists pid integer,
    add column if not exists code_version text,
    add column if not exists dagster_run_id text,
    add column if not exists concurrency integer not null default 0,
    add column if not exists heartbeat_seconds double precision not null default 10,
    add column if not exists running integer not null default 0,
    add column if not exists idle boolean not null default false,
    add column if not exists started_job_ids uuid[] not null default '{}',
    add column if not exists started_at timestamptz not null default now(),
    add column if not exists last_heartbeat_at timestamptz not null default now(),
    add column if not exists stopped_at timestamptz;
create unique index if not exists workers_instance_unique on public.workers (instance_id);
-- Older workers are drained: their rows must not count as alive.
update public.workers set stopped_at = now() where stopped_at is null;

-- Superseded attempts only (failed, lost, released, snoozed): the last attempt's facts are in the job row.
create table if not exists public.job_attempts (
    job_id uuid not null,
    lease_token uuid not null,
    attempt integer not null,
    outcome text not null,
    worker_id text,
    instance_id uuid,
    claimed_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz not null,
    run_seconds double precision,
    error jsonb,
    primary key (job_id, lease_token)
);
do $access$ begin
    revoke all on public.job_attempts from public, anon, authenticated;
    grant select, insert, update, delete on public.job_attempts to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.job_attempts'::regclass) then
        alter table public.job_attempts enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'job_attempts'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.job_attempts to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.job_attempts'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- One row per worker start, so that no two processes write the same row.
create table if not exists public.worker_metrics (
    instance_id uuid primary key,
    worker_id text not null,
    counters jsonb not null default '{}',
    latency jsonb not null default '{}',
    updated_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.worker_metrics from public, anon, authenticated;
    grant select, insert, update, delete on public.worker_metrics to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.worker_metrics'::regclass) then
        alter table public.worker_metrics enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'worker_metrics'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.worker_metrics to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.worker_metrics'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

create table if not exists public.deployment (
    id uuid primary key default gen_random_uuid(),
    release integer not null,
    functions_digest text not null,
    updated_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.deployment from public, anon, authenticated;
    grant select, insert, update, delete on public.deployment to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.deployment'::regclass) then
        alter table public.deployment enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'deployment'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.deployment to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.deployment'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- 4. Columns of an older schema that we do not fill must not refuse our rows.
do $$
declare
    foreign_column record;
begin
    for foreign_column in
        select a.attrelid::regclass as of_table, a.attname
        from pg_catalog.pg_attribute a
        where a.attrelid = any (array['public.executors', 'public.jobs', 'public.worker_heartbeats', 'public.worker_devices',
                                      'public.artifacts', 'public.jobs_dlq', 'public.workers']::regclass[])
          and a.attnum > 0 and not a.attisdropped and a.attnotnull and not a.atthasdef and a.attidentity = ''
          and not exists (select from pg_catalog.pg_index i
                          where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any (i.indkey))
          and (a.attrelid::regclass::text, a.attname) not in (('jobs', 'type'), ('worker_heartbeats', 'worker_id'),
                                                              ('jobs_dlq', 'job_id'))
    loop
        execute format('alter table %s alter column %I drop not null', foreign_column.of_table, foreign_column.attname);
    end loop;
end $$;

-- A primary key of the old code that we do not fill either fills itself, or goes where it forbids a history.
do $$
declare
    old_key record;
begin
    for old_key in
        select i.indrelid::regclass as of_table, c.conname, a.attname, format_type(a.atttypid, null) as of_type
        from pg_catalog.pg_index i
        join pg_catalog.pg_constraint c on c.conindid = i.indexrelid and c.contype = 'p'
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = any (array['public.worker_heartbeats', 'public.worker_devices', 'public.artifacts',
                                      'public.jobs_dlq', 'public.workers']::regclass[])
          and i.indnkeyatts = 1 and not a.atthasdef and a.attidentity = ''
          and (i.indrelid::regclass::text, a.attname) <> ('worker_devices', 'worker_id')
    loop
        if old_key.of_type in ('uuid', 'text', 'character varying') and old_key.attname not in ('worker_id', 'job_id') then
            execute format('alter table %s alter column %I set default gen_random_uuid()', old_key.of_table, old_key.attname);
        elsif old_key.of_type in ('bigint', 'integer') then
            execute format('create sequence if not exists public.%I owned by %s.%I',
                           old_key.conname || '_seq', old_key.of_table, old_key.attname);
            execute format('revoke all on sequence public.%I from public, anon, authenticated', old_key.conname || '_seq');
            execute format('grant usage on sequence public.%I to service_role', old_key.conname || '_seq');
            execute format('select setval(''public.%1$I'', (select coalesce(max(%2$I), 0) + 1 from %3$s))',
                           old_key.conname || '_seq', old_key.attname, old_key.of_table);
            execute format('alter table %s alter column %I set default nextval(''public.%I'')',
                           old_key.of_table, old_key.attname, old_key.conname || '_seq');
        else
            execute format('alter table %s drop constraint %I', old_key.of_table, old_key.conname);
        end if;
    end loop;
end $$;

alter table public.worker_heartbeats add column if not exists id bigint generated always as identity;
do $access$ begin
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.worker_heartbeats'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
alter table public.artifacts add column if not exists id uuid not null default gen_random_uuid();
alter table public.artifacts alter column id set default gen_random_uuid();
alter table public.jobs_dlq add column if not exists id uuid not null default gen_random_uuid();
do $$
begin
    if not exists (select from pg_catalog.pg_constraint
                   where conrelid = 'public.worker_heartbeats'::regclass and contype = 'p') then
        alter table public.worker_heartbeats add primary key (id);
    end if;
end $$;

alter table public.jobs alter column id set default encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
    substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
    from 1 for 6), 52, 1), 53, 1), 'hex')::uuid;

-- 5. One vocabulary for the rows themselves.
update public.jobs set status = case lower(status)
        when 'pending' then 'queued' when 'waiting' then 'queued' when 'retry' then 'queued' when 'retrying' then 'queued'
        when 'ready' then 'queued' when 'scheduled' then 'queued' when 'available' then 'queued'
        when 'claimed' then 'running' when 'processing' then 'running' when 'in_progress' then 'running'
        when 'active' then 'running' when 'leased' then 'running' when 'started' then 'running'
        when 'completed' then 'succeeded' when 'complete' then 'succeeded' when 'done' then 'succeeded'
        when 'success' then 'succeeded' when 'finished' then 'succeeded'
        when 'error' then 'failed' when 'dead' then 'failed' when 'errored' then 'failed' when 'dlq' then 'failed'
        when 'canceled' then 'cancelled' when 'aborted' then 'cancelled'
        else lower(coalesce(status, 'queued')) end
where status is null or status not in ('queued', 'running', 'succeeded', 'failed', 'cancelled');

do $$
declare
    unknown_words text;
begin
    select string_agg(distinct status, ', ') into unknown_words from public.jobs
    where status not in ('queued', 'running', 'succeeded', 'failed', 'cancelled');
    if unknown_words is not null then
        raise exception using errcode = 'CQ005', message = format(
            'jobs.status has words this release does not know: %s. Set those rows to queued, running, succeeded, '
            'failed or cancelled, then migrate again.', unknown_words);
    end if;
end $$;

update public.jobs set
    attempts = greatest(coalesce(attempts, 0), 0),
    max_attempts = greatest(coalesce(max_attempts, 5), 1),
    priority = least(greatest(coalesce(priority, 5), 0), 9),
    payload = coalesce(payload, '{}'),
    created_at = coalesce(created_at, now()),
    next_run_at = coalesce(next_run_at, created_at, now()),
    lease_expires_at = case when status = 'running' then coalesce(lease_expires_at, now()) end,
    lease_token = case when status = 'running' then coalesce(lease_token, gen_random_uuid()) else lease_token end,
    finished_at = case when status in ('succeeded', 'failed', 'cancelled')
        then coalesce(finished_at, created_at, now()) else finished_at end
where attempts is null or attempts < 0 or max_attempts is null or max_attempts < 1 or priority is null
   or priority not between 0 and 9 or payload is null or created_at is null or next_run_at is null
   or (status = 'running') <> (lease_expires_at is not null) or (status = 'running' and lease_token is null)
   or (status in ('succeeded', 'failed', 'cancelled') and finished_at is null);

alter table public.jobs
    alter column type set not null,
    alter column status set not null, alter column status set default 'queued',
    alter column payload set not null, alter column payload set default '{}',
    alter column attempts set not null, alter column attempts set default 0,
    alter column max_attempts set not null, alter column max_attempts set default 5,
    alter column priority set not null, alter column priority set default 5,
    alter column created_at set not null, alter column created_at set default now(),
    alter column next_run_at set not null, alter column next_run_at set default now(),
    add constraint jobs_status_known check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    add constraint jobs_attempts_counted check (attempts >= 0 and max_attempts >= 1),
    add constraint jobs_priority_range check (priority between 0 and 9),
    add constraint jobs_running_is_leased check ((status = 'running') = (lease_expires_at is not null)
        and (status <> 'running' or lease_token is not null));

-- An older schema allowed one key twice: the newest job keeps it, the others' say whose they were.
update public.jobs old set idempotency_key = old.idempotency_key || ':superseded:' || old.id
from public.jobs newer
where newer.type = old.type and newer.idempotency_key = old.idempotency_key and newer.id <> old.id
  and (newer.created_at, newer.id) > (old.created_at, old.id);

alter table public.artifacts alter column status drop default;
update public.artifacts set status = 'ready' where status is null or status not in ('pending', 'ready', 'orphaned', 'expired');
alter table public.artifacts
    alter column status set default 'pending',
    alter column status set not null,
    add constraint artifacts_status_known check (status in ('pending', 'ready', 'orphaned', 'expired'));

-- A dead letter stands without its job: what an older one left out is still in the job.
update public.jobs_dlq d set
    type = coalesce(d.type, j.type),
    payload = coalesce(d.payload, j.payload),
    executor_id = coalesce(d.executor_id, j.executor_id),
    priority = coalesce(d.priority, j.priority),
    max_attempts = coalesce(d.max_attempts, j.max_attempts),
    attempts = coalesce(d.attempts, j.attempts),
    error = coalesce(d.error, j.error)
from public.jobs j where j.id = d.job_id;
update public.jobs_dlq set failed_at = created_at where failed_at is null;

-- Older duplicates of a dead letter stay readable, but only the newest counts.
update public.jobs_dlq old set superseded = true
from public.jobs_dlq newer
where newer.job_id = old.job_id and (newer.failed_at, newer.ctid) > (old.failed_at, old.ctid);

-- A worker has one device: the newest keeps the name, the others' say whose they were.
update public.worker_devices d set worker_id = d.worker_id || ':superseded:' || older.place
from (select ctid as row_place, row_number() over (partition by worker_id order by created_at desc, ctid desc) - 1 as place
      from public.worker_devices where worker_id is not null) older
where d.ctid = older.row_place and older.place > 0;

-- 6. The indexes of the hot path. Each update of a job writes every index whose condition it meets: keep them few.
-- Claim: one lane per family and address, first priority first, oldest first.
create index if not exists jobs_claim_lane on public.jobs (family, executor_id, priority, next_run_at)
    where status = 'queued';
-- A claim repeated after a lost reply, and recovery. lease_expires_at stays out, so that renewals are HOT.
create index if not exists jobs_lease on public.jobs (lease_token) where status = 'running';
create unique index if not exists jobs_idempotency on public.jobs (type, idempotency_key)
    where idempotency_key is not null;
create index if not exists jobs_finished on public.jobs (status, finished_at)
    where status in ('succeeded', 'failed', 'cancelled');
create unique index if not exists jobs_dlq_job on public.jobs_dlq (job_id) where not superseded;
create unique index if not exists jobs_dlq_replayed_job on public.jobs_dlq (replayed_job_id)
    where replayed_job_id is not null;
create index if not exists artifacts_job_attempt on public.artifacts (job_id, lease_token);
create unique index if not exists artifacts_attempt_name on public.artifacts (job_id, lease_token, name)
    where lease_token is not null;
create index if not exists artifacts_object on public.artifacts (storage_key);
create index if not exists artifacts_unfinished on public.artifacts (created_at) where status in ('pending', 'orphaned');
create unique index if not exists worker_devices_worker on public.worker_devices (worker_id);
create index if not exists workers_alive on public.workers (last_heartbeat_at) where stopped_at is null;

-- Heartbeats and renewals update in place; the queue is vacuumed by what changed, not by its share of history.
alter table public.workers set (fillfactor = 50);
alter table public.worker_metrics set (fillfactor = 50);
alter table public.jobs set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
                             autovacuum_analyze_scale_factor = 0.02);
