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
