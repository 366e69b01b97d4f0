-- A schema as it is written for a Supabase project in the dashboard: uuid ids, foreign keys, check constraints,
-- a trigger for updated_at, and policies that let the browser read.

do $$ begin
    create role anon nologin;
exception when duplicate_object or unique_violation then null;
end $$;

create table public.executors (
    id uuid primary key default gen_random_uuid(),
    name text not null unique,
    status text not null default 'offline' check (status in ('online', 'offline')),
    capabilities jsonb not null default '[]',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table public.jobs (
    id uuid primary key default gen_random_uuid(),
    executor_id uuid references public.executors (id) on delete set null,
    type varchar(50) not null,
    status varchar(20) not null default 'pending'
        check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    payload jsonb not null default '{}',
    result jsonb,
    error text,
    priority integer not null default 0,
    attempts integer not null default 0,
    max_attempts integer default 3,
    idempotency_key text unique,
    lease_owner text,
    lease_expires_at timestamptz,
    next_run_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    completed_at timestamptz
);
create index idx_jobs_status on public.jobs (status, priority desc, created_at);
create index jobs_lease on public.jobs (lease_owner);

create table public.worker_heartbeats (
    worker_id text primary key,
    executor_id uuid references public.executors (id),
    status text not null,
    current_job_id uuid references public.jobs (id),
    last_seen timestamptz not null default now()
);

create table public.worker_devices (
    id uuid primary key default gen_random_uuid(),
    worker_id text not null,
    device_name text not null,
    platform text,
    created_at timestamptz not null default now(),
    unique (worker_id, device_name)
);

create table public.artifacts (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id) on delete cascade,
    name text not null,
    type text not null,
    url text not null,
    created_at timestamptz not null default now(),
    unique (job_id, name)
);

create table public.jobs_dlq (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null references public.jobs (id),
    executor_id uuid,
    type text not null,
    payload jsonb not null,
    error text,
    attempts integer not null,
    failed_at timestamptz not null default now()
);

create table public.workers (
    id text primary key,
    worker_id uuid,
    status text not null,
    last_heartbeat timestamptz
);

create function public.touch() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end $$;
create trigger jobs_updated_at before update on public.jobs for each row execute function public.touch();
create trigger executors_updated_at before update on public.executors for each row execute function public.touch();

alter table public.jobs enable row level security;
create policy "Public read of jobs" on public.jobs for select to anon using (true);
create policy "Workers see their jobs" on public.jobs for update using (executor_id is not null);
alter table public.artifacts enable row level security;
create policy "Public read of artifacts" on public.artifacts for select to anon using (true);
grant select on public.jobs, public.artifacts to anon;

create function public.claim_one_job(p_executor_id uuid, p_worker_id text, p_lease_seconds integer default 60)
returns setof public.jobs language sql as $$
    update public.jobs set status = 'processing', lease_owner = p_worker_id, attempts = attempts + 1,
        lease_expires_at = now() + make_interval(secs => p_lease_seconds)
    where id = (select id from public.jobs where status = 'pending' limit 1 for update skip locked)
    returning *
$$;
create function public.complete_job(job_id uuid) returns void language sql as $$
    update public.jobs set status = 'completed', completed_at = now() where id = job_id
$$;

insert into public.executors (id, name) values ('11111111-1111-4111-8111-111111111111', 'mac');
insert into public.jobs (id, executor_id, type, status, payload, error, priority, attempts, idempotency_key, lease_owner,
                         lease_expires_at, completed_at) values
    ('a0000000-0000-4000-8000-000000000001', null, 'browser', 'pending', '{"url": "one"}', null, 0, 0, 'key-1', null, null, null),
    ('a0000000-0000-4000-8000-000000000002', '11111111-1111-4111-8111-111111111111', 'figma', 'pending', '{}', null, 3, 0,
     null, null, null, null),
    ('a0000000-0000-4000-8000-000000000003', null, 'browser', 'processing', '{}', null, 0, 1, null, 'old-worker',
     now() - interval '1 hour', null),
    ('a0000000-0000-4000-8000-000000000004', null, 'browser', 'processing', '{}', null, 0, 0, null, 'old-worker', null, null),
    ('a0000000-0000-4000-8000-000000000005', null, 'browser', 'completed', '{}', null, 0, 1, 'key-5', 'old-worker',
     now() - interval '1 day', now()),
    ('a0000000-0000-4000-8000-000000000006', null, 'browser', 'failed', '{}', 'It broke.', 0, 3, null, null, null, null),
    ('a0000000-0000-4000-8000-000000000007', null, 'browser', 'cancelled', '{}', null, 0, 0, null, null, null, null);
insert into public.worker_heartbeats (worker_id, status, current_job_id) values
    ('old-worker', 'busy', 'a0000000-0000-4000-8000-000000000003'), ('other-worker', 'idle', null);
insert into public.worker_devices (worker_id, device_name) values
    ('old-worker', 'first'), ('old-worker', 'second'), ('other-worker', 'first');
insert into public.artifacts (job_id, name, type, url) values
    ('a0000000-0000-4000-8000-000000000005', 'shot.png', 'screenshot', 'https://example.com/shot.png');
insert into public.jobs_dlq (job_id, type, payload, error, attempts) values
    ('a0000000-0000-4000-8000-000000000006', 'browser', '{}', 'It broke.', 3),
    ('a0000000-0000-4000-8000-000000000006', 'browser', '{}', 'It broke before.', 3);
insert into public.workers (id, status) values ('old-worker', 'busy');
