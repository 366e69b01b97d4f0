/*
 * Run a running job again in delay_seconds without consuming the attempt: running -> queued.
 * Fenced; safe to repeat. The 100th snooze counts as a failure. Errors: CQ001, CQ002.
 */
create or replace function public.snooze_job(job_id uuid, lease_token uuid, delay_seconds double precision) returns jsonb
language sql set search_path = '' as $$
    select cogo_internal.settle_one(jsonb_build_object('job_id', snooze_job.job_id, 'lease_token', snooze_job.lease_token,
        'outcome', 'snoozed', 'delay_seconds', snooze_job.delay_seconds))
$$;

comment on function public.snooze_job is 'Run the job later without consuming the attempt.';
