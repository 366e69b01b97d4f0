-- Which artifact stores (folders, buckets) belong to this database, and the random value that each of them holds.

create table if not exists public.artifact_stores (
    id uuid primary key,
    marker uuid not null,
    -- The last 100, newest first.
    previous_markers uuid[] not null default '{}',
    registered_at timestamptz not null default now(),
    rotated_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.artifact_stores from public, anon, authenticated;
    grant select, insert, update, delete on public.artifact_stores to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.artifact_stores'::regclass) then
        alter table public.artifact_stores enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'artifact_stores'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.artifact_stores to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.artifact_stores'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
alter table public.artifact_stores enable row level security;
comment on table public.artifact_stores is
    'Artifact stores of this database. A copy of the database has another marker as soon as either of them uses the store.';
