-- The quality gate: its runs, and the numbers of closed windows, which outlive the rows they were computed from.

create table if not exists public.gate_runs (
    id uuid primary key,
    type text not null constraint gate_runs_type_known check (type in ('gate', 'gate_fix')),
    status text not null constraint gate_runs_status_known check (status in ('pass', 'fail')),
    branch text not null,
    commit_sha text not null,
    pull_request bigint,
    job_id uuid,
    created_at timestamptz not null default now(),
    build_seconds double precision,
    test_seconds double precision,
    lint_errors integer,
    lint_warnings integer,
    coverage_percent double precision,
    tests_total integer,
    tests_failed integer,
    eslint_artifact_id uuid,
    coverage_artifact_id uuid,
    junit_artifact_id uuid
);
create index if not exists gate_runs_newest on public.gate_runs (created_at, id);
create index if not exists gate_runs_branch on public.gate_runs (branch, created_at);

-- numbers: what gate_summary found; sources: how many rows it was computed from, so that a purge is noticed;
-- providers: their health when the numbers were first kept, since only the last probe of each is known.
create table if not exists public.gate_snapshots (
    kind text not null constraint gate_snapshots_kind_known check (kind in ('daily', 'rolling')),
    branch text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    numbers jsonb not null,
    sources jsonb not null,
    providers jsonb not null default '[]',
    complete boolean not null,
    revision integer not null default 1,
    computed_at timestamptz not null,
    primary key (kind, branch, window_start)
);

create table if not exists public.weekly_summaries (
    branch text not null,
    window_start timestamptz not null,
    window_end timestamptz not null,
    numbers jsonb not null,
    sources jsonb not null,
    providers jsonb not null default '[]',
    complete boolean not null,
    revision integer not null default 1,
    computed_at timestamptz not null,
    primary key (branch, window_start)
);

-- A failure that ended its job stays one after the job was retried.
alter table public.job_attempts add column if not exists ended_job boolean not null default false;
create index if not exists job_attempts_finished on public.job_attempts (finished_at);

create index if not exists artifacts_reports on public.artifacts (storage_key) where job_id is null;
