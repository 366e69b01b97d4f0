-- Operational indexes that do not depend on later columns.

-- Older heartbeats may know their time under another name.
alter table public.worker_heartbeats add column if not exists created_at timestamptz not null default now();

create index if not exists artifacts_job_idx on public.artifacts (job_id);
create index if not exists worker_heartbeats_worker_idx on public.worker_heartbeats (worker_id, created_at desc);
