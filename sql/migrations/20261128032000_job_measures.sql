-- The run times, waits and error classes of the jobs that finished within ten minutes (hours = 0) or an hour, of the last
-- eight days: see roll_up_jobs and job_history. Durations are microseconds, of which the first three digits count.
create table if not exists public.job_measures (
    hours integer not null check (hours in (0, 1)),
    starts_at timestamptz not null,
    run_family text[] not null,
    run_us bigint[] not null,
    run_n bigint[] not null,
    wait_us bigint[] not null,
    wait_n bigint[] not null,
    -- [{"class", "n"}] of the failures that ended their job
    errors jsonb not null,
    primary key (hours, starts_at)
);
do $access$ begin
    revoke all on public.job_measures from public, anon, authenticated;
    grant select, insert, update, delete on public.job_measures to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.job_measures'::regclass) then
        alter table public.job_measures enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'job_measures'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.job_measures to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.job_measures'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- The last worker with the same families that a Dagster run registered: see registered_families.
create index if not exists workers_families on public.workers (hash_array_extended(families, 0), started_at)
    where dagster_run_id is not null;
