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
do $access$ begin
    revoke all on public.gate_runs from public, anon, authenticated;
    grant select, insert, update, delete on public.gate_runs to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.gate_runs'::regclass) then
        alter table public.gate_runs enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'gate_runs'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.gate_runs to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.gate_runs'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
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
do $access$ begin
    revoke all on public.gate_snapshots from public, anon, authenticated;
    grant select, insert, update, delete on public.gate_snapshots to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.gate_snapshots'::regclass) then
        alter table public.gate_snapshots enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'gate_snapshots'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.gate_snapshots to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.gate_snapshots'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

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
do $access$ begin
    revoke all on public.weekly_summaries from public, anon, authenticated;
    grant select, insert, update, delete on public.weekly_summaries to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.weekly_summaries'::regclass) then
        alter table public.weekly_summaries enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'weekly_summaries'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.weekly_summaries to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.weekly_summaries'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- A failure that ended its job stays one after the job was retried.
alter table public.job_attempts add column if not exists ended_job boolean not null default false;
create index if not exists job_attempts_finished on public.job_attempts (finished_at);

create index if not exists artifacts_reports on public.artifacts (storage_key) where job_id is null;
