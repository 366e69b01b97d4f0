/*
 * Settle the running attempt as succeeded: running -> succeeded. Fenced; safe to repeat.
 * Errors: CQ001, CQ002.
 */
create or replace function public.complete_job(job_id uuid, lease_token uuid, result jsonb default null) returns jsonb
language sql set search_path = '' as $$
    select cogo_internal.settle_one(jsonb_build_object('job_id', complete_job.job_id, 'lease_token', complete_job.lease_token,
                                                'outcome', 'succeeded', 'result', complete_job.result))
$$;

comment on function public.complete_job is 'Settle the running attempt as succeeded.';
