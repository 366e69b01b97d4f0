-- Limits on what the tables keep, and what a lost attempt leaves behind.
--
-- The order keeps strong locks short: first the values that the new constraints would reject are brought into range, which
-- locks these rows only. Then columns and constraints, none of which reads a table, in the order in which the functions
-- lock the tables. No index of a table that may be large is built here. Every row stays.

create function pg_temp.dates() returns table (of_table text, columns text[]) language sql as $$
    -- The other three of a job are the engine's own, and each constraint is read at every claim and settlement.
    values ('jobs', array['created_at', 'next_run_at', 'finished_at']),
        ('job_attempts', array['claimed_at', 'started_at', 'finished_at']),
        ('jobs_dlq', array['created_at', 'failed_at', 'closed_at', 'replayed_at', 'alerted_failed_at']),
        ('workers', array['started_at', 'last_heartbeat_at', 'stopped_at']),
        ('worker_heartbeats', array['created_at']),
        ('worker_metrics', array['updated_at']),
        ('worker_devices', array['created_at', 'last_seen_at']),
        ('executors', array['created_at', 'last_seen_at']),
        ('artifacts', array['created_at', 'expires_at', 'ready_at']),
        ('gate_runs', array['created_at']),
        ('gate_snapshots', array['window_start', 'window_end', 'computed_at']),
        ('weekly_summaries', array['window_start', 'window_end', 'computed_at']),
        ('operations_log', array['created_at', 'updated_at']),
        ('paused', array['paused_at']),
        ('rate_limits', array['refilled_at', 'open_until']),
        ('secrets', array['created_at', 'updated_at']),
        ('providers', array['created_at', 'updated_at']),
        ('provider_health', array['checked_at', 'since']),
        ('alert_targets', array['first_seen_at', 'last_seen_at', 'retry_at', 'disabled_at', 'last_success_at',
                                'last_failure_at']),
        ('alerts', array['first_seen_at', 'last_seen_at', 'resolved_at']),
        ('alert_deliveries', array['first_attempt_at', 'next_attempt_at', 'claim_expires_at', 'announced_at',
                                   'created_at', 'updated_at']),
        ('alert_silences', array['created_at', 'ends_at']),
        ('run_failures', array['failed_at', 'recorded_at', 'promoted_at']),
        ('watched_schedules', array['due_at', 'last_tick_at', 'seen_at'])
$$;

-- In years 1 to 9999 whatever the time zone they are shown in: beyond, most languages have no dates.
create function pg_temp.dates_are_known(columns text[]) returns text language sql as $$
    select format('greatest(%1$s) <= timestamptz ''9999-12-30 00:00:00+00'' and least(%1$s) >= timestamptz ''0001-01-02 00:00:00+00''',
                  string_agg(quote_ident(name), ', '))
    from unnest(columns) as name
$$;

do $$
declare
    dated record;
begin
    for dated in select * from pg_temp.dates() loop
        execute format('update public.%I set %s where not (%s)', dated.of_table, (
            select string_agg(format('%1$I = case when %1$I > timestamptz ''9999-12-30 00:00:00+00'' then ''9999-12-30 00:00:00+00'' '
                                     'when %1$I < timestamptz ''0001-01-02 00:00:00+00'' then ''0001-01-02 00:00:00+00'' else %1$I end',
                                     name), ', ')
            from unnest(dated.columns) as name), pg_temp.dates_are_known(dated.columns));
    end loop;
end $$;

update public.jobs set
    snoozes = greatest(snoozes, 0),
    timeout_seconds = case when timeout_seconds > 86400 and timeout_seconds < 'Infinity' then 86400
                           when timeout_seconds > 0 and timeout_seconds < 'Infinity' then timeout_seconds end,
    run_seconds = case when run_seconds >= 0 and run_seconds <= 315360000 then run_seconds end
where snoozes < 0 or not (timeout_seconds > 0 and timeout_seconds <= 86400)
   or not (run_seconds >= 0 and run_seconds <= 315360000);

update public.workers set
    concurrency = greatest(concurrency, 0),
    running = greatest(running, 0),
    heartbeat_seconds = case when heartbeat_seconds > 0 and heartbeat_seconds <= 86400 then heartbeat_seconds else 10 end
where concurrency < 0 or running < 0 or not (heartbeat_seconds > 0 and heartbeat_seconds <= 86400);

update public.artifacts set size_bytes = null where size_bytes < 0;

-- The claims of which a lease ran out: claim_jobs gives them nothing more, so that no lease token is used twice.
create table if not exists public.ended_claims (
    claim_id uuid primary key,
    ended_at timestamptz not null default now()
);
do $access$ begin
    revoke all on public.ended_claims from public, anon, authenticated;
    grant select, insert, update, delete on public.ended_claims to service_role;
    -- Both lock the table against everybody: only where it is missing.
    if not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.ended_claims'::regclass) then
        alter table public.ended_claims enable row level security;
    end if;
    if not exists (select from pg_catalog.pg_policies where schemaname = 'public' and tablename = 'ended_claims'
                   and policyname = 'service_role does all') then
        create policy "service_role does all" on public.ended_claims to service_role using (true) with check (true);
    end if;
    execute coalesce((
        select string_agg(format('revoke all on sequence %1$s from public, anon, authenticated; '
                                 'grant usage on sequence %1$s to service_role;', d.objid::regclass), ' ')
        from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.objid and c.relkind = 'S'
        where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
          and d.refobjid = 'public.ended_claims'::regclass and d.deptype in ('a', 'i')), 'select');
end $access$;

alter table public.jobs
    -- How many attempts in a row ended with their lease: such a job next runs alone.
    add column if not exists lost_attempts smallint not null default 0,
    add constraint jobs_numbers_known check (greatest(timeout_seconds, run_seconds) <= 315360000) not valid;

do $$
declare
    dated record;
begin
    for dated in select * from pg_temp.dates() loop
        execute format('alter table public.%I add constraint %I check (%s) not valid', dated.of_table,
                       dated.of_table || '_dates_known', pg_temp.dates_are_known(dated.columns));
    end loop;
end $$;

alter table public.workers
    add constraint workers_numbers_known check (concurrency >= 0 and running >= 0
        and heartbeat_seconds > 0 and heartbeat_seconds <= 86400) not valid;
alter table public.artifacts add constraint artifacts_size_counted check (size_bytes >= 0) not valid;
alter table public.gate_runs
    -- The lease of the attempt that recorded the run; null for a run of CI.
    add column if not exists lease_token uuid,
    add constraint gate_runs_numbers_known check (least(lint_errors, lint_warnings, tests_total, tests_failed) >= 0
        and (least(build_seconds, test_seconds) >= 0 and greatest(build_seconds, test_seconds) <= 31536000) is not false
        and (coverage_percent between 0 and 100) is not false) not valid;

alter table public.deployment
    -- The largest payload and result, as JSON text: see set_payload_limit.
    add column if not exists max_payload_bytes integer not null default 1000000
        constraint deployment_payload_limit check (max_payload_bytes between 1000 and 100000000);

-- Its arguments change.
drop function if exists public.list_abandoned_artifacts(integer, integer);
