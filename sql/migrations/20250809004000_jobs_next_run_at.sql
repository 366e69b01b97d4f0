-- A job waits until next_run_at: a retry's backoff, a snooze, or a start in the future.

alter table public.jobs add column if not exists next_run_at timestamptz not null default now();
