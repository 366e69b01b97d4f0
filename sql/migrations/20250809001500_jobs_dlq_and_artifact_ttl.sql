-- The dead-letter queue, self-contained: its rows outlive the jobs they describe. Artifacts may expire.

create table if not exists public.jobs_dlq (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null,
    created_at timestamptz not null default now()
);

alter table public.artifacts add column if not exists expires_at timestamptz;
create index if not exists artifacts_expires_at_idx on public.artifacts (expires_at) where expires_at is not null;
