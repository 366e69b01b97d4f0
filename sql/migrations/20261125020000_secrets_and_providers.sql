-- The key vault, and the providers that the router chooses from.

-- Only ciphertext is kept here; the keys are never in the database. key_id tells them apart: a digest of the key.
create table if not exists public.secrets (
    environment text not null,
    reference text not null,
    ciphertext text not null,
    key_id text not null,
    -- Counts the values this reference has had; a rotation keeps the value and so the version.
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (environment, reference)
);
do $access$ begin
    revoke all on public.secrets from public, anon, authenticated;
    grant select, insert, update, delete on public.secrets to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.secrets'::regclass) then
        alter table public.secrets enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'secrets'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.secrets to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.secrets'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- One row for each thing a provider can do: what it costs may differ.
create table if not exists public.providers (
    provider text not null,
    capability text not null,
    -- What a health probe fetches; without one the provider counts as never checked.
    probe_url text,
    cost double precision not null default 0,
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (provider, capability)
);
do $access$ begin
    revoke all on public.providers from public, anon, authenticated;
    grant select, insert, update, delete on public.providers to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.providers'::regclass) then
        alter table public.providers enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'providers'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.providers to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.providers'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- The last probe. No reference to providers: services that are not chosen from, such as Figma, are probed too.
create table if not exists public.provider_health (
    provider text not null,
    capability text not null,
    healthy boolean not null,
    latency_ms double precision,
    error text,
    checked_at timestamptz not null default now(),
    -- Since when it is as healthy as it is.
    since timestamptz not null default now(),
    primary key (provider, capability)
);
do $access$ begin
    revoke all on public.provider_health from public, anon, authenticated;
    grant select, insert, update, delete on public.provider_health to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.provider_health'::regclass) then
        alter table public.provider_health enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'provider_health'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.provider_health to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.provider_health'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
