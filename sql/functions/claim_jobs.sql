/*
 * Claim due jobs for a worker: queued -> running, one attempt counted for each.
 *
 * claim_id       A new uuid for each claim; it becomes the lease_token of the claimed jobs.
 *                Called again with the same id (the reply was lost), it returns the same jobs; once a lease of that
 *                claim has been recovered, it returns no jobs and "claim_ended": then a new id is needed.
 * families       [{"family": "browser", "max_jobs": 4, "prefetch": false}]: how many jobs of which families, in order of
 *                preference. `prefetch`: the jobs wait in the worker, which records their start with start_jobs.
 * max_jobs       The maximum for all families together.
 * executor_id    Claim jobs addressed to this executor besides the unaddressed jobs.
 * idle           Whether enqueues should wake this worker; null leaves it as it is.
 *
 * compact        Return each job as an array instead of an object.
 * after          A cursor that a compact claim returned: unaddressed jobs of its priority that became due earlier are
 *                skipped. While another session holds a snapshot, the index entries of claimed jobs cannot be removed, and
 *                a claim without a cursor reads those of all earlier claims again.
 *
 * Paused types and executors are skipped: see pause.
 *
 * Order: priority 0 first; within a priority the addressed jobs, then the unaddressed ones, each by next_run_at.
 * Returns {"jobs": […]}, each with "lost_attempts": how many consecutive attempts before this one lost their lease.
 * Compact: {"jobs": […], "cursor": [priority, time]}, with each job as in compact_job. `cursor` is null if the claim is for
 * several families, or returned jobs of several priorities or no unaddressed job.
 * Errors: CQ005.
 *
 * Reads the index jobs_claim_lane in its order. With a limit that the planner does not know, it would read and sort the
 * whole lane, hence the settings; jit is off because before PostgreSQL 18 a plan with a disabled step exceeds
 * jit_above_cost and was compiled, which took 1.5 s per call. One probe per priority instead of one ordered scan:
 * behind 500,000 jobs that were not due yet, the scan took 10 ms, the probes 0.15 ms. `at` is a variable, since a
 * volatile function cannot be an index condition.
 *
 * A compact claim of at least 100 jobs of one family updates rows without locking them first, unless another claim of the
 * family takes longer than 10 ms: see lock_claims and claim_unlocked.
 *
 * Without the generic plan every call was planned again, which took 0.3 ms.
 *
 * The result is json and not jsonb, whose keys would be sorted and which would be packed and unpacked before it is
 * sent: a third of the time of the whole call.
 */
create or replace function public.claim_jobs(
    claim_id uuid, families jsonb, worker_id text, instance_id uuid default null, executor_id text default null,
    lease_seconds integer default 60, max_jobs integer default 1000, idle boolean default null,
    compact boolean default false, after jsonb default null
) returns json
language plpgsql
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    at timestamptz := clock_timestamp();
    lease_end timestamptz;
    result json;
    cursor json;
    after_priority integer := after ->> 0;
    after_time timestamptz := after ->> 1;
    paused_types text;
    family jsonb;
    unlocked json;
begin
    if claim_jobs.lease_seconds is null or claim_jobs.lease_seconds not between 1 and 86400 then
        perform cogo_internal.invalid_argument('lease_seconds must be 1 to 86400.');
    end if;
    if claim_jobs.claim_id is null or jsonb_typeof(claim_jobs.families) is distinct from 'array' then
        perform cogo_internal.invalid_argument('claim_id must be a uuid, and families an array such as [{"family": "browser", "max_jobs": 4}].');
    end if;
    if claim_jobs.max_jobs is null or claim_jobs.max_jobs < 0 then
        perform cogo_internal.invalid_argument('max_jobs must be 0 or more.');
    end if;
    -- The condition of check_worker_id, inlined: an expression is cheaper than a call.
    if length(claim_jobs.worker_id) not between 1 and 200 or claim_jobs.worker_id ~ '[\x01-\x1f\x7f-\x9f]' then
        perform cogo_internal.check_worker_id(claim_jobs.worker_id);
    end if;
    lease_end := at + make_interval(secs => claim_jobs.lease_seconds);

    -- A repeated call waits for a first one that still runs after its connection broke, and finds the jobs it claimed.
    perform pg_advisory_xact_lock(hashtextextended(claim_jobs.claim_id::text, 0));
    if exists (select from public.jobs j where j.lease_token = claim_jobs.claim_id and j.status = 'running') then
        result := cogo_internal.claimed_jobs(claim_jobs.claim_id, claim_jobs.compact);
    end if;

    if result is null then
        if exists (select from public.paused) then
            paused_types := cogo_internal.paused_types(claim_jobs.executor_id);
        end if;
        family := claim_jobs.families -> 0;
        if cogo_internal.lock_claims(claim_jobs.families, claim_jobs.compact and claim_jobs.max_jobs >= 100
                                                          and (family ->> 'max_jobs')::integer >= 100)
           and (paused_types is null or (family ->> 'family') !~ paused_types)
           and not exists (select from public.ended_claims e where e.claim_id = claim_jobs.claim_id) then
            unlocked := cogo_internal.claim_unlocked(
                claim_jobs.claim_id, family ->> 'family', least(claim_jobs.max_jobs, (family ->> 'max_jobs')::integer),
                coalesce((family ->> 'prefetch')::boolean, false), claim_jobs.worker_id, claim_jobs.instance_id,
                claim_jobs.executor_id, at, lease_end, after_priority, after_time, paused_types);
        end if;
    end if;

    if result is null and unlocked is null then
        with due as materialized (
            select lane.id, coalesce(requested.prefetch, false) as prefetch
            from jsonb_to_recordset(claim_jobs.families) as requested (family text, max_jobs integer, prefetch boolean)
            cross join lateral (
                select queued.id
                from generate_series(0, 9) as level (priority)
                cross join lateral (
                    select addressed.id from (
                        select j.id from public.jobs j
                        where j.status = 'queued' and j.family = requested.family and j.executor_id = claim_jobs.executor_id
                          and j.priority = level.priority and j.next_run_at <= at
                          and (paused_types is null or j.type !~ paused_types)
                        order by j.next_run_at
                        limit requested.max_jobs
                        for update skip locked) addressed
                    union all
                    select unaddressed.id from (
                        select j.id from public.jobs j
                        where j.status = 'queued' and j.family = requested.family and j.executor_id is null
                          and j.priority = level.priority and j.next_run_at <= at
                          and j.next_run_at >= case when level.priority = after_priority then after_time else '-infinity' end
                          and (paused_types is null or j.type !~ paused_types)
                        order by j.executor_id, j.next_run_at  -- for the planner, `is null` does not make it a constant
                        limit requested.max_jobs
                        for update skip locked) unaddressed
                ) queued
                limit requested.max_jobs
            ) lane
            where (paused_types is null or requested.family !~ paused_types)
              and not exists (select from public.ended_claims e where e.claim_id = claim_jobs.claim_id)
            limit claim_jobs.max_jobs
        ), claimed as (
            update public.jobs j set
                status = 'running',
                attempts = j.attempts + 1,
                lease_token = claim_jobs.claim_id,
                lease_expires_at = lease_end,
                worker_id = claim_jobs.worker_id,
                instance_id = claim_jobs.instance_id,
                claimed_at = at,
                started_at = case when due.prefetch then null else at end,
                finished_at = null
            from due where j.id = due.id
            returning j.*
        )
        select json_agg(cogo_internal.compact_job(c.id, c.type, c.payload, c.attempts, c.max_attempts, c.created_at,
                                                  c.executor_id, c.priority, c.idempotency_key, c.timeout_seconds,
                                                  c.lost_attempts) order by c.priority, c.next_run_at)
                filter (where claim_jobs.compact),
            case when min(c.priority) = max(c.priority) and jsonb_array_length(claim_jobs.families) = 1
                then json_build_array(min(c.priority), max(c.next_run_at) filter (where c.executor_id is null)) end
        into result, cursor
        from claimed c;
        if not claim_jobs.compact then
            result := cogo_internal.claimed_jobs(claim_jobs.claim_id, false);
        end if;
        if result is null and exists (select from public.ended_claims e where e.claim_id = claim_jobs.claim_id) then
            return '{"jobs": [], "claim_ended": true}';
        end if;
    end if;

    if claim_jobs.idle is not null then
        update public.workers w set idle = claim_jobs.idle
        where w.instance_id = claim_jobs.instance_id and w.idle is distinct from claim_jobs.idle;
    end if;
    if unlocked is not null then
        return unlocked;
    end if;
    if claim_jobs.compact then
        return json_build_object('jobs', coalesce(result, '[]'), 'cursor', case when cursor ->> 1 is not null then cursor end);
    end if;
    return json_build_object('jobs', coalesce(result, '[]'));
end $$;

comment on function public.claim_jobs is 'Claim due jobs for a worker; repeatable by claim id.';
