/*
 * Claim due jobs of one family without locking their rows first, which writes 56 bytes of WAL less for each job. Returns
 * what a compact claim_jobs returns, or null if nothing was claimed and the caller must lock the rows: a row is locked by
 * another transaction, or has changed since it was selected.
 *
 * The caller holds the family's claim lock exclusively, so that no other claim selects the same rows. Other transactions
 * may change them: each row is updated only in the version that was selected (xmin), and a wait for one of them is short.
 * A row with an xmax is or was locked, or its change was rolled back.
 *
 * `after`, the plan, and the settings of the planner, which apply here too: see claim_jobs.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.claim_unlocked(
    claim_id uuid, family text, max_jobs integer, prefetch boolean, worker_id text, instance_id uuid, executor_id text,
    at timestamptz, lease_end timestamptz, after_priority integer, after_time timestamptz, paused_types text
) returns json
language plpgsql set search_path = '' set lock_timeout = '20ms' as $$
declare
    selected integer;
    taken integer;
    result json;
begin
    with due as materialized (
        select queued.id, queued.version, queued.locker
        from generate_series(0, 9) as level (priority)
        cross join lateral (
            select addressed.* from (
                select j.id, j.xmin as version, j.xmax as locker from public.jobs j
                where j.status = 'queued' and j.family = claim_unlocked.family and j.executor_id = claim_unlocked.executor_id
                  and j.priority = level.priority and j.next_run_at <= claim_unlocked.at
                  and (paused_types is null or j.type !~ paused_types)
                order by j.next_run_at
                limit claim_unlocked.max_jobs) addressed
            union all
            select unaddressed.* from (
                select j.id, j.xmin as version, j.xmax as locker from public.jobs j
                where j.status = 'queued' and j.family = claim_unlocked.family and j.executor_id is null
                  and j.priority = level.priority and j.next_run_at <= claim_unlocked.at
                  and j.next_run_at >= case when level.priority = after_priority then after_time else '-infinity' end
                  and (paused_types is null or j.type !~ paused_types)
                order by j.executor_id, j.next_run_at
                limit claim_unlocked.max_jobs) unaddressed
        ) queued
        limit claim_unlocked.max_jobs
    ), claimed as (
        update public.jobs j set
            status = 'running',
            attempts = j.attempts + 1,
            lease_token = claim_unlocked.claim_id,
            lease_expires_at = claim_unlocked.lease_end,
            worker_id = claim_unlocked.worker_id,
            instance_id = claim_unlocked.instance_id,
            claimed_at = claim_unlocked.at,
            started_at = case when claim_unlocked.prefetch then null else claim_unlocked.at end,
            finished_at = null
        from due
        where j.id = due.id and j.xmin = due.version
          and not exists (select from due other where other.locker <> '0')
        returning j.*
    )
    select (select count(*) from due), count(*),
        json_build_object(
            'jobs', coalesce(json_agg(cogo_internal.compact_job(
                c.id, c.type, c.payload, c.attempts, c.max_attempts, c.created_at, c.executor_id, c.priority,
                c.idempotency_key, c.timeout_seconds, c.lost_attempts) order by c.priority, c.next_run_at), '[]'),
            'cursor', case when min(c.priority) = max(c.priority) and bool_or(c.executor_id is null)
                then json_build_array(min(c.priority), max(c.next_run_at) filter (where c.executor_id is null)) end)
    into selected, taken, result
    from claimed c;
    if taken < selected then
        raise lock_not_available;
    end if;
    return result;
exception when lock_not_available or deadlock_detected then
    return null;
end $$;

comment on function cogo_internal.claim_unlocked is 'Claim due jobs of one family without locking their rows first.';
