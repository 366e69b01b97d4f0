-- The six files of the runbook as they were before this release, applied by `supabase db push` and recorded by it.
create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
insert into supabase_migrations.schema_migrations (version, name) values
    ('20250808090921', 'executor_worker_tables'),
    ('20250809000100', 'add_job_leases'),
    ('20250809001500', 'jobs_dlq_and_artifact_ttl'),
    ('20250809004000', 'jobs_next_run_at'),
    ('20250809004100', 'claim_one_job_with_next_run'),
    ('20250809005000', 'jobs_indexes');

create table public.executors (
    id text primary key,
    name text,
    status text default 'idle',
    created_at timestamptz default now()
);
create table public.jobs (
    id uuid primary key default gen_random_uuid(),
    executor_id text references public.executors (id),
    type text not null,
    payload jsonb default '{}',
    status text default 'queued',
    result jsonb,
    error jsonb,
    attempts integer default 0,
    max_attempts integer default 5,
    idempotency_key text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create unique index jobs_idempotency on public.jobs (idempotency_key) where idempotency_key is not null;
create table public.worker_heartbeats (
    id uuid primary key default gen_random_uuid(),
    worker_id text not null,
    status text,
    metrics json,
    created_at timestamptz default now()
);
create table public.worker_devices (
    device_id text primary key,
    worker_id text,
    info jsonb default '{}',
    last_seen timestamptz default now()
);
create table public.artifacts (
    id uuid primary key default gen_random_uuid(),
    job_id uuid references public.jobs (id) on delete cascade,
    kind text,
    url text not null,
    created_at timestamptz default now()
);

alter table public.jobs add column lease_owner text, add column lease_expires_at timestamptz;

create table public.jobs_dlq (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null,
    reason text,
    payload jsonb,
    created_at timestamptz default now()
);
create index idx_artifacts_created_at on public.artifacts (created_at);

alter table public.jobs add column next_run_at timestamptz default now();

create function public.claim_one_job(executor_id text, worker_id text, lease_seconds integer default 60)
returns setof public.jobs language plpgsql as $$
begin
    return query update public.jobs j
        set status = 'running', lease_owner = claim_one_job.worker_id, attempts = j.attempts + 1,
            lease_expires_at = now() + make_interval(secs => lease_seconds)
        where j.id = (select q.id from public.jobs q where q.status = 'queued' and q.next_run_at <= now()
                      order by q.created_at limit 1 for update skip locked)
        returning j.*;
end $$;

create index idx_jobs_status_next_run on public.jobs (status, next_run_at);
create index idx_jobs_lease on public.jobs (lease_expires_at);

insert into public.executors (id, name) values ('mac', 'Mac mini');
insert into public.jobs (id, executor_id, type, payload, status, attempts, idempotency_key, lease_owner, lease_expires_at, error)
values
    ('c0000000-0000-4000-8000-000000000001', null, 'browser', '{"url": "one"}', 'queued', 0, 'key-1', null, null, null),
    ('c0000000-0000-4000-8000-000000000002', 'mac', 'figma', null, 'queued', 1, null, 'old-worker', now(), '{"message": "x"}'),
    ('c0000000-0000-4000-8000-000000000003', null, 'browser', '{}', 'running', 1, null, 'old-worker', now(), null),
    ('c0000000-0000-4000-8000-000000000004', null, 'browser', '{}', 'succeeded', 1, null, null, null, null),
    ('c0000000-0000-4000-8000-000000000005', null, 'browser', '{}', 'failed', 5, 'dlq:x', null, null, '{"message": "x"}');
insert into public.worker_heartbeats (worker_id, status, metrics) values ('old-worker', 'idle', '{"ok": 1}');
insert into public.worker_devices (device_id, worker_id) values ('d1', 'old-worker'), ('d2', null);
insert into public.artifacts (job_id, kind, url) values ('c0000000-0000-4000-8000-000000000004', 'html', 'https://x.test/a');
insert into public.jobs_dlq (job_id, reason, payload) values ('c0000000-0000-4000-8000-000000000005', 'max_attempts', '{}');
