/*
 * Give the job back untouched: running -> queued now, attempt not consumed. Fenced; repeating the call is safe.
 * Errors: CQ001, CQ002.
 */
create or replace function public.requeue_job(job_id uuid, lease_token uuid) returns jsonb
language sql set search_path = '' as $$
    select cogo_internal.settle_one(jsonb_build_object('job_id', requeue_job.job_id, 'lease_token', requeue_job.lease_token,
                                                'outcome', 'requeued'))
$$;

comment on function public.requeue_job is 'Give the job back without consuming the attempt.';
