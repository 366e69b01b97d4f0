-- Executors, jobs, workers' heartbeats and devices, artifacts: the base tables.
-- Safe over a database that has them already: nothing here changes an existing table.

create table if not exists public.executors (
    id text primary key,
    created_at timestamptz not null default now()
);

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

create table if not exists public.worker_heartbeats (
    id bigint generated always as identity primary key,
    worker_id text not null,
    created_at timestamptz not null default now()
);

create table if not exists public.worker_devices (
    worker_id text primary key,
    created_at timestamptz not null default now()
);

create table if not exists public.artifacts (
    id uuid primary key default gen_random_uuid(),
    job_id uuid,
    created_at timestamptz not null default now()
);
