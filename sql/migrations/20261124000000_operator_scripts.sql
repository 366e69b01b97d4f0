-- What operators' commands need: what was done, what is paused, and which code a dead letter failed on.

create table if not exists public.operations_log (
    id uuid primary key,
    operation text not null,
    actor text not null,
    filter jsonb not null default '{}',
    matched integer not null default 0,
    changed integer not null default 0,
    skipped integer not null default 0,
    -- How many batches are done, and the last one's answer, for a call that is repeated because its reply was lost.
    batches integer not null default 0,
    answer jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index if not exists operations_log_newest on public.operations_log (created_at);

-- kind: `type` (of job, with all below it) or `executor` (an executor id).
create table if not exists public.paused (
    kind text not null constraint paused_kind_known check (kind in ('type', 'executor')),
    name text not null,
    reason text,
    actor text not null,
    paused_at timestamptz not null default now(),
    primary key (kind, name)
);

alter table public.jobs_dlq add column if not exists code_version text;

create index if not exists jobs_dlq_open on public.jobs_dlq (failed_at, job_id)
    where not superseded and closed_at is null and replayed_at is null;
create index if not exists artifacts_ready on public.artifacts (created_at) where status = 'ready';

-- Their arguments change.
drop function if exists public.list_dlq(text, boolean, integer);
drop function if exists public.list_artifacts(uuid, text, integer);
drop function if exists public.recover_leases(integer);
