-- A discarded dead-lettered job is closed at the time of the discard, so that the indexes of open rows leave it out.
-- discard_id: the operator's action, by which the discard is undone.
alter table public.jobs_dlq add column if not exists discarded_at timestamptz;
alter table public.jobs_dlq add column if not exists discard_reason text;
alter table public.jobs_dlq add column if not exists discard_id uuid;
create index if not exists jobs_dlq_discarded on public.jobs_dlq (discard_id, failed_at, job_id)
    where discard_id is not null and not superseded;

-- It takes one more argument.
drop function if exists cogo_internal.check_replayable(uuid[]);
