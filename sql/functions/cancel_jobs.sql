/*
 * Cancel those of these jobs that are queued, and request the cancellation of those that run; returns the ids of both.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.cancel_jobs(job_ids uuid[]) returns uuid[]
language plpgsql set search_path = '' as $$
declare
    taken uuid[];
begin
    taken := array(
        select j.id from public.jobs j
        where j.id = any (cancel_jobs.job_ids) and (j.status = 'queued' or j.status = 'running' and not j.cancel_requested)
        order by j.id for update);
    update public.jobs j set
        status = case when j.status = 'queued' then 'cancelled' else j.status end,
        finished_at = case when j.status = 'queued' then clock_timestamp() else j.finished_at end,
        cancel_requested = true
    where j.id = any (taken);
    return taken;
end $$;

comment on function cogo_internal.cancel_jobs is 'Cancel queued jobs, and request the cancellation of running ones.';
