-- The dead-letter queue, self-contained: its rows outlive the jobs they describe. Artifacts may expire.

create table if not exists public.jobs_dlq (
    id uuid primary key default gen_random_uuid(),
    job_id uuid not null,
    created_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.jobs_dlq from public, anon, authenticated;
    grant select, insert, update, delete on public.jobs_dlq to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.jobs_dlq'::regclass) then
        alter table public.jobs_dlq enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'jobs_dlq'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.jobs_dlq to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.jobs_dlq'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

alter table public.artifacts add column if not exists expires_at timestamptz;
create index if not exists artifacts_expires_at_idx on public.artifacts (expires_at) where expires_at is not null;
