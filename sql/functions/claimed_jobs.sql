/*
 * The running jobs of a claim, in its order; null if there are none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.claimed_jobs(claim_id uuid, compact boolean) returns json
language sql stable set search_path = '' as $$
    select json_agg(
        case when claimed_jobs.compact
            then cogo_internal.compact_job(j.id, j.type, j.payload, j.attempts, j.max_attempts, j.created_at, j.executor_id,
                                           j.priority, j.idempotency_key, j.timeout_seconds, j.lost_attempts)
            else cogo_internal.claimed_job(j) end
        order by j.priority, j.next_run_at)
    from public.jobs j
    where j.lease_token = claimed_jobs.claim_id and j.status = 'running'
$$;

comment on function cogo_internal.claimed_jobs is 'The running jobs of a claim, as the claim returns them.';
