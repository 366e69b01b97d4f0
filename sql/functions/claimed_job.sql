/*
 * A job as its worker receives it.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.claimed_job(job public.jobs) returns json
language sql stable as $$
    select pg_catalog.json_build_object(
        'id', job.id, 'type', job.type, 'payload', job.payload, 'attempts', job.attempts,
        'max_attempts', job.max_attempts, 'lease_token', job.lease_token, 'lease_expires_at', job.lease_expires_at,
        'executor_id', job.executor_id, 'priority', job.priority, 'idempotency_key', job.idempotency_key,
        'timeout_seconds', job.timeout_seconds, 'created_at', job.created_at, 'lost_attempts', job.lost_attempts)
$$;

comment on function cogo_internal.claimed_job is 'The document a claim returns for one job.';
