-- The finished jobs of ten minutes as numbers, so that days and weeks need not be counted again: see roll_up_jobs.
create table if not exists public.job_periods (
    starts_at timestamptz primary key,
    succeeded bigint not null,
    -- [{"type", "status", "n", "first_try", "attempts", "retried", "lost"}]
    tally jsonb not null,
    -- The waits of succeeded jobs in milliseconds, and how many jobs waited as long.
    wait_ms bigint[] not null,
    wait_n bigint[] not null,
    -- [{"type", "class", "message", "n"}]
    failures jsonb not null
);
do $access$ begin
    revoke all on public.job_periods from public, anon, authenticated;
    grant select, insert, update, delete on public.job_periods to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.job_periods'::regclass) then
        alter table public.job_periods enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'job_periods'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.job_periods to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.job_periods'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
-- When roll_up_jobs looked at the clock, and its transaction: those in progress then have lower IDs.
create table if not exists public.job_period_marks (
    marked_at timestamptz primary key,
    next_transaction xid8 not null
);
do $access$ begin
    revoke all on public.job_period_marks from public, anon, authenticated;
    grant select, insert, update, delete on public.job_period_marks to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.job_period_marks'::regclass) then
        alter table public.job_period_marks enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'job_period_marks'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.job_period_marks to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.job_period_marks'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
-- The counters of worker instances that ended: see roll_up_jobs.
create table if not exists public.ended_worker_totals (
    bounds_seconds jsonb primary key,
    counters jsonb not null,
    counts jsonb not null,
    sum_seconds numeric not null,
    updated_at timestamptz not null
);
do $access$ begin
    revoke all on public.ended_worker_totals from public, anon, authenticated;
    grant select, insert, update, delete on public.ended_worker_totals to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.ended_worker_totals'::regclass) then
        alter table public.ended_worker_totals enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'ended_worker_totals'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.ended_worker_totals to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.ended_worker_totals'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
alter table public.worker_metrics add column if not exists in_totals boolean not null default false;
create index if not exists worker_metrics_not_in_totals on public.worker_metrics (instance_id) where not in_totals;
do $access$
declare
    made text;
begin
    foreach made in array array['job_periods', 'job_period_marks', 'ended_worker_totals'] loop
        execute format('revoke all on public.%I from public, anon, authenticated', made);
        execute format('grant select, insert, update, delete on public.%I to service_role', made);
        execute format('alter table public.%I enable row level security', made);
        if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = made
                       and policyname = 'service_role does all') then
            execute format('create policy "service_role does all" on public.%I to service_role using (true) with check (true)', made);
        end if;
    end loop;
end $access$;

-- The newest first, for pages.
create index if not exists workers_newest on public.workers (started_at, instance_id);
