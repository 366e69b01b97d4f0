/*
 * Requeue a running job: running -> queued now, attempt not consumed. Fenced; safe to repeat.
 * Errors: CQ001, CQ002.
 */
create or replace function public.requeue_job(job_id uuid, lease_token uuid) returns jsonb
language sql set search_path = '' as $$
    select cogo_internal.settle_one(jsonb_build_object('job_id', requeue_job.job_id, 'lease_token', requeue_job.lease_token,
                                                'outcome', 'requeued'))
$$;

comment on function public.requeue_job is 'Requeue a running job without consuming the attempt.';
