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

-- Says what the file is a copy of; the same key is the same bytes.
alter table public.artifacts add column if not exists cache_key text;
create index if not exists artifacts_cached on public.artifacts (cache_key, created_at)
    where status = 'ready' and cache_key is not null;
