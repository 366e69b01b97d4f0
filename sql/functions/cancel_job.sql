/*
 * Cancel a job. A queued job is cancelled immediately. For a running job, `cancel_requested` is set: its worker
 * receives the request at the next renewal of the lease, and a job that succeeds nevertheless is recorded as succeeded.
 * If anything changed, operations_log records it.
 *
 * actor   Who cancels the job, for operations_log; null means the database user
 *
 * Returns {"job_id", "status", "cancel_requested"}. Errors: CQ001 no such job, CQ003 the job has already succeeded or
 * failed.
 */
create or replace function public.cancel_job(job_id uuid, actor text default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    job public.jobs;
begin
    -- A repeated request to a running job changes nothing.
    update public.jobs j set
        status = case when j.status = 'queued' then 'cancelled' else j.status end,
        finished_at = case when j.status = 'queued' then at else j.finished_at end,
        cancel_requested = true
    where j.id = cancel_job.job_id and (j.status = 'queued' or j.status = 'running' and not j.cancel_requested)
    returning j.* into job;
    if found then
        perform cogo_internal.log_operation(
            jsonb_build_object('id', cogo_internal.time_ordered_id(), 'actor', coalesce(cancel_job.actor, session_user)), 'cancel_job',
            jsonb_build_object('job_id', job.id, 'type', job.type), '{"matched": 1, "changed": 1, "skipped": 0}');
    else
        select * into job from public.jobs j where j.id = cancel_job.job_id;
    end if;

    if job.id is null then
        raise exception using errcode = 'CQ001', message = format('There is no job %s.', cancel_job.job_id);
    elsif job.status in ('succeeded', 'failed') then
        raise exception using errcode = 'CQ003',
            message = format('Job %s has %s already and cannot be cancelled.', job.id, job.status);
    end if;
    return jsonb_build_object('job_id', job.id, 'status', job.status, 'cancel_requested', job.cancel_requested);
end $$;

comment on function public.cancel_job is 'Cancel a queued job, or request the cancellation of a running job.';
