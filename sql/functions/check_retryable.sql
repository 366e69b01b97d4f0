/*
 * Check that the named jobs can be retried; the error is about the first that cannot.
 * Errors: CQ001 unknown, CQ003 not failed, or replayed as another job.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_retryable(job_ids uuid[]) returns void
language plpgsql stable set search_path = '' as $$
declare
    ineligible record;
begin
    select requested.id, j.status, d.replayed_job_id, d.replayed_at into ineligible
    from unnest(check_retryable.job_ids) with ordinality as requested (id, position)
    left join public.jobs j on j.id = requested.id
    left join public.jobs_dlq d on d.job_id = requested.id and not d.superseded
    where j.id is null or j.status <> 'failed' or d.replayed_at is not null
    order by requested.position
    limit 1;
    if not found then
        return;
    elsif ineligible.status is null then
        raise exception using errcode = 'CQ001', message = format('There is no job %s: nothing was retried.', ineligible.id);
    elsif ineligible.status <> 'failed' then
        raise exception using errcode = 'CQ003',
            message = format('Job %s is %s and only failed jobs can be retried: nothing was retried.', ineligible.id, ineligible.status);
    end if;
    raise exception using errcode = 'CQ003',
        message = format('Job %s was replayed%s and cannot be retried: nothing was retried.', ineligible.id,
                         coalesce(' as job ' || ineligible.replayed_job_id, ''));
end $$;

comment on function cogo_internal.check_retryable is 'Check that the named jobs can be retried.';
