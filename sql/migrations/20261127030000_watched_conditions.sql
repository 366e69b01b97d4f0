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

-- The dead man's switch: when COGO_DEADMAN_URL was last called. One row.
create table if not exists public.deadman (
    only_row boolean primary key default true check (only_row),
    pinged_at timestamptz not null
);

-- A migration leaves a closed database also where the grants are not applied again.
alter table public.watched_conditions enable row level security;
alter table public.deadman enable row level security;
