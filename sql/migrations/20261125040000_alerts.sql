-- Alerts: what went wrong, told to whom, and by whom it is silenced.

-- One row per episode: from the first failure of a kind until it is over. Announcements are rows too, told once.
create table if not exists public.alerts (
    id uuid primary key,
    fingerprint text not null,
    kind text not null,
    -- A type of job, a Dagster job, a branch, a worker, a schedule, a provider, a target.
    subject text not null,
    status text not null constraint alerts_status_known check (status in ('firing', 'resolved', 'announced')),
    title text not null,
    error_class text,
    error_message text,
    count bigint not null default 1,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    resolved_at timestamptz,
    resolution text,
    -- Where to look closer: {"job_id", "run_id", "artifact_id", …} of the newest occurrence.
    refs jsonb not null default '{}',
    -- An announcement's key and what it says.
    key text,
    body jsonb
);
do $access$ begin
    revoke all on public.alerts from public, anon, authenticated;
    grant select, insert, update, delete on public.alerts to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alerts'::regclass) then
        alter table public.alerts enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alerts'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alerts to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alerts'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create unique index if not exists alerts_firing on public.alerts (fingerprint) where status = 'firing';
create unique index if not exists alerts_key on public.alerts (key) where key is not null;
create index if not exists alerts_newest on public.alerts (last_seen_at, id);
create index if not exists alerts_resolved on public.alerts (resolved_at) where status = 'resolved';

-- What each target has been told of each alert, and what it is to be told next.
create table if not exists public.alert_deliveries (
    alert_id uuid not null,
    target text not null,
    status text not null constraint alert_deliveries_status_known check (status in ('pending', 'delivered', 'dead', 'skipped')),
    event text not null constraint alert_deliveries_event_known check (event in ('firing', 'repeat', 'resolved', 'announcement')),
    -- The message that is being sent; several alerts may share one. It stays the same through every retry.
    message_id uuid,
    message_count bigint,
    attempts integer not null default 0,
    first_attempt_at timestamptz,
    next_attempt_at timestamptz not null,
    claim_token uuid,
    claim_expires_at timestamptz,
    error jsonb,
    -- Written only after a delivery succeeded.
    announced_event text,
    announced_count bigint not null default 0,
    announced_at timestamptz,
    delivered_message_id uuid,
    reference text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (alert_id, target)
);
do $access$ begin
    revoke all on public.alert_deliveries from public, anon, authenticated;
    grant select, insert, update, delete on public.alert_deliveries to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alert_deliveries'::regclass) then
        alter table public.alert_deliveries enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alert_deliveries'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alert_deliveries to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alert_deliveries'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists alert_deliveries_pending on public.alert_deliveries (target, next_attempt_at) where status = 'pending';
create index if not exists alert_deliveries_claim on public.alert_deliveries (claim_token) where claim_token is not null;
create index if not exists alert_deliveries_announced on public.alert_deliveries (target, announced_at) where announced_at is not null;
create index if not exists alert_deliveries_dead on public.alert_deliveries (target) where status = 'dead';

create table if not exists public.alert_silences (
    id uuid primary key,
    fingerprint text,
    kind text,
    subject_prefix text,
    author text not null,
    reason text,
    created_at timestamptz not null default now(),
    ends_at timestamptz not null
);
do $access$ begin
    revoke all on public.alert_silences from public, anon, authenticated;
    grant select, insert, update, delete on public.alert_silences to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alert_silences'::regclass) then
        alter table public.alert_silences enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alert_silences'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alert_silences to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alert_silences'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists alert_silences_end on public.alert_silences (ends_at);

-- The targets that any process has had configured, and how they do. The address is kept as a digest only.
create table if not exists public.alert_targets (
    target text primary key,
    address_digest text,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    consecutive_failures integer not null default 0,
    retry_at timestamptz,
    disabled_at timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error jsonb,
    delivered bigint not null default 0,
    failed jsonb not null default '{}'
);
do $access$ begin
    revoke all on public.alert_targets from public, anon, authenticated;
    grant select, insert, update, delete on public.alert_targets to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alert_targets'::regclass) then
        alter table public.alert_targets enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alert_targets'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alert_targets to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alert_targets'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- When a part of the promotion pass last ran.
create table if not exists public.alert_cursors (
    source text primary key,
    seen_at timestamptz not null
);
do $access$ begin
    revoke all on public.alert_cursors from public, anon, authenticated;
    grant select, insert, update, delete on public.alert_cursors to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alert_cursors'::regclass) then
        alter table public.alert_cursors enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alert_cursors'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alert_cursors to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alert_cursors'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- Rows of other tables that were promoted, where those tables have no column for it.
create table if not exists public.alert_promotions (
    source text not null,
    key text not null,
    promoted_at timestamptz not null default now(),
    primary key (source, key)
);
do $access$ begin
    revoke all on public.alert_promotions from public, anon, authenticated;
    grant select, insert, update, delete on public.alert_promotions to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.alert_promotions'::regclass) then
        alter table public.alert_promotions enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'alert_promotions'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.alert_promotions to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.alert_promotions'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- Dagster runs that failed, from the hook, the sensor or the look back: one row each, whoever was first.
create table if not exists public.run_failures (
    run_id text primary key,
    job_name text not null,
    op_name text,
    error_class text not null,
    error_message text,
    failed_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    promoted_at timestamptz
);
do $access$ begin
    revoke all on public.run_failures from public, anon, authenticated;
    grant select, insert, update, delete on public.run_failures to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.run_failures'::regclass) then
        alter table public.run_failures enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'run_failures'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.run_failures to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.run_failures'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists run_failures_unpromoted on public.run_failures (recorded_at) where promoted_at is null;

-- Schedules that somebody expects to tick: a dead man's switch for Dagster's daemon.
create table if not exists public.watched_schedules (
    name text primary key,
    due_at timestamptz not null,
    last_tick_at timestamptz,
    error text,
    seen_at timestamptz not null
);
do $access$ begin
    revoke all on public.watched_schedules from public, anon, authenticated;
    grant select, insert, update, delete on public.watched_schedules to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.watched_schedules'::regclass) then
        alter table public.watched_schedules enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'watched_schedules'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.watched_schedules to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.watched_schedules'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

-- A dead letter is promoted once per failure. A mark on the row, not a cursor: rows become visible in another order
-- than their times, and a cursor would step over those that commit late. Letters of before are not news.
alter table public.jobs_dlq add column if not exists alerted_failed_at timestamptz;
update public.jobs_dlq set alerted_failed_at = failed_at where alerted_failed_at is distinct from failed_at;
create index if not exists jobs_dlq_unalerted on public.jobs_dlq (failed_at)
    where not superseded and alerted_failed_at is distinct from failed_at;
