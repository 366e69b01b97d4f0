-- Which artifact stores (folders, buckets) belong to this database, and the random value that each of them holds.

create table if not exists public.artifact_stores (
    id uuid primary key,
    marker uuid not null,
    -- The last 100, newest first.
    previous_markers uuid[] not null default '{}',
    registered_at timestamptz not null default now(),
    rotated_at timestamptz not null default now()
);
alter table public.artifact_stores enable row level security;
comment on table public.artifact_stores is
    'Artifact stores of this database. A copy of the database has another marker as soon as either of them uses the store.';
