-- What outside services allow, shared by all workers: a bucket of tokens and a circuit by name.

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
