-- Operational indexes that do not depend on later columns.

create index if not exists artifacts_job_idx on public.artifacts (job_id);
create index if not exists worker_heartbeats_worker_idx on public.worker_heartbeats (worker_id, created_at desc);
