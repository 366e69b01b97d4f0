-- Executors, jobs, workers' heartbeats and devices, artifacts: the base tables.
-- Safe over a database that has them already: nothing here changes an existing table.

-- Supabase has these roles, another Postgres may not.
do $roles$
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
end $roles$;

grant usage on schema public to service_role;

create table if not exists public.executors (
    id text primary key,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.executors from public, anon, authenticated;
    grant select, insert, update, delete on public.executors to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.executors'::regclass) then
        alter table public.executors enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'executors'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.executors to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.executors'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

create table if not exists public.jobs (
    -- Time-ordered (RFC 9562, version 7): new rows go to the end of the primary key.
    id uuid primary key default encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
        substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
        from 1 for 6), 52, 1), 53, 1), 'hex')::uuid,
    type text not null,
    status text not null default 'queued',
    payload jsonb not null default '{}',
    executor_id text,
    attempts integer not null default 0,
    max_attempts integer not null default 5,
    idempotency_key text,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.jobs from public, anon, authenticated;
    grant select, insert, update, delete on public.jobs to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.jobs'::regclass) then
        alter table public.jobs enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'jobs'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.jobs to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.jobs'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

create table if not exists public.worker_heartbeats (
    id bigint generated always as identity primary key,
    worker_id text not null,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.worker_heartbeats from public, anon, authenticated;
    grant select, insert, update, delete on public.worker_heartbeats to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.worker_heartbeats'::regclass) then
        alter table public.worker_heartbeats enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'worker_heartbeats'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.worker_heartbeats to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.worker_heartbeats'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

create table if not exists public.worker_devices (
    worker_id text primary key,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.worker_devices from public, anon, authenticated;
    grant select, insert, update, delete on public.worker_devices to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.worker_devices'::regclass) then
        alter table public.worker_devices enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'worker_devices'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.worker_devices to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.worker_devices'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

create table if not exists public.artifacts (
    id uuid primary key default gen_random_uuid(),
    job_id uuid,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.artifacts from public, anon, authenticated;
    grant select, insert, update, delete on public.artifacts to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.artifacts'::regclass) then
        alter table public.artifacts enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'artifacts'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.artifacts to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.artifacts'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
