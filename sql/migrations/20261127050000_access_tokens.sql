-- Named tokens of the dashboard and its API, and the sessions that stand for a token in a browser.

create table if not exists public.access_tokens (
    id uuid primary key,
    name text not null,
    role text not null constraint access_tokens_role check (role in ('viewer', 'operator', 'admin')),
    -- SHA-256 of the token. A token is 256 random bits, so that nobody finds it by trying: it needs neither salt nor a
    -- slow hash, which would cost every request.
    token_hash text not null constraint access_tokens_hash check (token_hash ~ '^[0-9a-f]{64}$'),
    created_at timestamptz not null default now(),
    created_by text,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text
);
do $access$ begin
    revoke all on public.access_tokens from public, anon, authenticated;
    grant select, insert, update, delete on public.access_tokens to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.access_tokens'::regclass) then
        alter table public.access_tokens enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'access_tokens'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.access_tokens to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.access_tokens'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
alter table public.access_tokens enable row level security;
create unique index if not exists access_tokens_by_hash on public.access_tokens (token_hash);
create unique index if not exists access_tokens_by_name on public.access_tokens (name) where revoked_at is null;

create table if not exists public.web_sessions (
    id uuid primary key,
    -- SHA-256 of the cookie's value.
    session_hash text not null constraint web_sessions_hash check (session_hash ~ '^[0-9a-f]{64}$'),
    token_id uuid references public.access_tokens (id) on delete cascade,
    -- Of a session without a named token: HMAC of the cookie's value with the admin token. Another admin token gives
    -- another value, which ends the session; the table tells nothing of the token, which may be a weak one.
    seal text constraint web_sessions_seal check (seal ~ '^[0-9a-f]{64}$'),
    holder text not null,
    role text not null constraint web_sessions_role check (role in ('viewer', 'operator', 'admin')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    constraint web_sessions_origin check ((token_id is null) <> (seal is null))
);
do $access$ begin
    revoke all on public.web_sessions from public, anon, authenticated;
    grant select, insert, update, delete on public.web_sessions to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.web_sessions'::regclass) then
        alter table public.web_sessions enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'web_sessions'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.web_sessions to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.web_sessions'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
alter table public.web_sessions enable row level security;
create unique index if not exists web_sessions_by_hash on public.web_sessions (session_hash);
create index if not exists web_sessions_by_token on public.web_sessions (token_id);
create index if not exists web_sessions_by_expiry on public.web_sessions (expires_at);
