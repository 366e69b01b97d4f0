/*
 * A job as lists and pages show it. "forced": its failure was counted as a success, by BROWSER_FORCE_SUCCESS.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.job_row(job public.jobs) returns jsonb
language sql stable as $$
    select pg_catalog.jsonb_build_object(
        'id', job.id, 'type', job.type, 'status', job.status, 'executor_id', job.executor_id, 'priority', job.priority,
        'attempts', job.attempts, 'max_attempts', job.max_attempts, 'next_run_at', job.next_run_at,
        'idempotency_key', job.idempotency_key, 'worker_id', job.worker_id, 'instance_id', job.instance_id,
        'lease_expires_at', job.lease_expires_at, 'cancel_requested', job.cancel_requested,
        'created_at', job.created_at, 'claimed_at', job.claimed_at, 'started_at', job.started_at,
        'finished_at', job.finished_at, 'run_seconds', job.run_seconds, 'error', job.error,
        'forced', job.status = 'succeeded' and coalesce(job.result @> '{"forced": true}', false))
$$;

comment on function cogo_internal.job_row is 'The document a list returns for one job.';
