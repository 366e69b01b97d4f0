-- What operators' commands need: what was done, what is paused, and which code a dead letter failed on.

create table if not exists public.operations_log (
    id uuid primary key,
    operation text not null,
    actor text not null,
    filter jsonb not null default '{}',
    matched integer not null default 0,
    changed integer not null default 0,
    skipped integer not null default 0,
    -- How many batches are done, and the last one's answer, for a call that is repeated because its reply was lost.
    batches integer not null default 0,
    answer jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.operations_log from public, anon, authenticated;
    grant select, insert, update, delete on public.operations_log to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.operations_log'::regclass) then
        alter table public.operations_log enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'operations_log'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.operations_log to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.operations_log'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists operations_log_newest on public.operations_log (created_at);

-- kind: `type` (of job, with all below it) or `executor` (an executor id).
create table if not exists public.paused (
    kind text not null constraint paused_kind_known check (kind in ('type', 'executor')),
    name text not null,
    reason text,
    actor text not null,
    paused_at timestamptz not null default now(),
    primary key (kind, name)
);
do $access$ begin
    revoke all on public.paused from public, anon, authenticated;
    grant select, insert, update, delete on public.paused to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.paused'::regclass) then
        alter table public.paused enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'paused'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.paused to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.paused'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

alter table public.jobs_dlq add column if not exists code_version text;

create index if not exists jobs_dlq_open on public.jobs_dlq (failed_at, job_id)
    where not superseded and closed_at is null and replayed_at is null;
create index if not exists artifacts_ready on public.artifacts (created_at) where status = 'ready';

-- Their arguments change.
drop function if exists public.list_dlq(text, boolean, integer);
drop function if exists public.list_artifacts(uuid, text, integer);
drop function if exists public.recover_leases(integer);
