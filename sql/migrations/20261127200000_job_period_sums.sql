-- The periods of an hour and of a day, added up, so that a day or a week reads few rows: see roll_up_jobs.
create table if not exists public.job_period_sums (
    hours integer not null check (hours in (1, 24)),
    starts_at timestamptz not null,
    succeeded bigint not null,
    tally jsonb not null,
    wait_ms bigint[] not null,
    wait_n bigint[] not null,
    -- As in job_periods, but one entry for messages that differ in digits only, with "largest": the most frequent of them.
    failures jsonb not null,
    primary key (hours, starts_at)
);
do $access$ begin
    revoke all on public.job_period_sums from public, anon, authenticated;
    grant select, insert, update, delete on public.job_period_sums to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.job_period_sums'::regclass) then
        alter table public.job_period_sums enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'job_period_sums'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.job_period_sums to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.job_period_sums'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
