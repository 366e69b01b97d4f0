/*
 * The running attempt failed: running -> queued after a backoff (at least delay_seconds), or failed with a
 * DLQ row when out of attempts or not retryable. Fenced; repeating the call is safe.
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

comment on function public.fail_job is 'The running attempt failed: retry later, or the DLQ.';
