-- What a process reports as wrong for as long as it lasts, where no row of another table says so: see report_conditions.
create table if not exists public.watched_conditions (
    scope text not null,
    kind text not null,
    subject text not null,
    title text not null,
    error_message text,
    began_at timestamptz not null,
    seen_at timestamptz not null,
    primary key (scope, kind, subject)
);
do $access$ begin
    revoke all on public.watched_conditions from public, anon, authenticated;
    grant select, insert, update, delete on public.watched_conditions to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.watched_conditions'::regclass) then
        alter table public.watched_conditions enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'watched_conditions'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.watched_conditions to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.watched_conditions'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- The dead man's switch: when COGO_DEADMAN_URL was last called. One row.
create table if not exists public.deadman (
    only_row boolean primary key default true check (only_row),
    pinged_at timestamptz not null
);
do $access$ begin
    revoke all on public.deadman from public, anon, authenticated;
    grant select, insert, update, delete on public.deadman to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.deadman'::regclass) then
        alter table public.deadman enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'deadman'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.deadman to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.deadman'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- A migration leaves a closed database also where the grants are not applied again.
alter table public.watched_conditions enable row level security;
alter table public.deadman enable row level security;
