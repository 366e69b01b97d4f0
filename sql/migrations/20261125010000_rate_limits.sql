-- What outside services allow, shared by all workers: a bucket of tokens and a circuit by name; and which artifact
-- answers a question that was asked before.

create table if not exists public.rate_limits (
    -- Such as `figma:<hash of the token>:tier1` or `alerts:slack`.
    name text primary key,
    -- Null: the bucket is full, whatever its size.
    tokens double precision,
    refilled_at timestamptz,
    -- Until then nothing is granted.
    open_until timestamptz,
    reason text
);
do $access$ begin
    revoke all on public.rate_limits from public, anon, authenticated;
    grant select, insert, update, delete on public.rate_limits to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.rate_limits'::regclass) then
        alter table public.rate_limits enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'rate_limits'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.rate_limits to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.rate_limits'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- Says what the file is a copy of; the same key is the same bytes.
alter table public.artifacts add column if not exists cache_key text;
create index if not exists artifacts_cached on public.artifacts (cache_key, created_at)
    where status = 'ready' and cache_key is not null;
