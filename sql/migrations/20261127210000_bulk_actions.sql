-- Bulk actions: what an operator does to the jobs of a search. Their jobs are chosen once, and changed in batches.
create table if not exists public.bulk_actions (
    id uuid primary key,
    operation text not null constraint bulk_actions_operation_known check (operation in ('retry', 'replay', 'discard', 'cancel')),
    name text not null default '',
    -- The search in the filter language, what the operation takes, and the counts of the preview.
    query text not null default '',
    arguments jsonb not null default '{}',
    summary jsonb not null default '{}',
    actor text not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    stopped_at timestamptz,
    finished_at timestamptz,
    batches integer not null default 0,
    planned integer not null default 0,
    changed integer not null default 0,
    skipped integer not null default 0
);
do $access$ begin
    revoke all on public.bulk_actions from public, anon, authenticated;
    grant select, insert, update, delete on public.bulk_actions to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.bulk_actions'::regclass) then
        alter table public.bulk_actions enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'bulk_actions'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.bulk_actions to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.bulk_actions'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists bulk_actions_newest on public.bulk_actions (created_at, id);

-- version: of the row when it was chosen; null is any. outcome: null until its batch is done.
create table if not exists public.bulk_action_jobs (
    action_id uuid not null references public.bulk_actions (id) on delete cascade,
    job_id uuid not null,
    version text,
    outcome text constraint bulk_action_jobs_outcome_known check (outcome in ('changed', 'skipped')),
    new_job_id uuid,
    primary key (action_id, job_id)
);
do $access$ begin
    revoke all on public.bulk_action_jobs from public, anon, authenticated;
    grant select, insert, update, delete on public.bulk_action_jobs to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.bulk_action_jobs'::regclass) then
        alter table public.bulk_action_jobs enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'bulk_action_jobs'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.bulk_action_jobs to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.bulk_action_jobs'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;
create index if not exists bulk_action_jobs_left on public.bulk_action_jobs (action_id, job_id) where outcome is null;
create index if not exists bulk_action_jobs_new on public.bulk_action_jobs (new_job_id) where new_job_id is not null;

-- How many replays of a cause succeeded, and the jobs of a cause.
create index if not exists jobs_dlq_cause_all on public.jobs_dlq (fingerprint, failed_at) where not superseded;

-- It takes more arguments. With the old one beside it, a call by name would be ambiguous.
drop function if exists public.recover_leases(integer, boolean, jsonb);
