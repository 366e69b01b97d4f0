/*
 * Settle the running attempt as failed: running -> queued after a backoff (at least delay_seconds), or failed with a
 * DLQ row if it is out of attempts or not retryable. Fenced; safe to repeat.
 *
 * error   {"class", "message", "detail"}. Errors: CQ001, CQ002.
 */
create or replace function public.fail_job(
    job_id uuid, lease_token uuid, error jsonb, retryable boolean default true, delay_seconds double precision default null
) returns jsonb
language sql set search_path = '' as $$
    select cogo_internal.settle_one(jsonb_build_object('job_id', fail_job.job_id, 'lease_token', fail_job.lease_token,
        'outcome', 'failed', 'error', fail_job.error, 'retryable', fail_job.retryable,
        'delay_seconds', fail_job.delay_seconds))
$$;

comment on function public.fail_job is 'Settle the running attempt as failed: retry later, or dead-letter the job.';
