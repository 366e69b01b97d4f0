/*
 * Check that the named jobs can be replayed or discarded; the error is about the first that cannot.
 * Errors: CQ001 not dead-lettered, CQ003 replayed, retried or discarded since.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_replayable(job_ids uuid[], done text default 'replayed') returns void
language plpgsql stable set search_path = '' as $$
declare
    ineligible record;
begin
    select requested.id, d.job_id, d.replayed_at, d.replayed_job_id, d.closed_at = d.discarded_at as discarded into ineligible
    from unnest(check_replayable.job_ids) with ordinality as requested (id, position)
    left join public.jobs_dlq d on d.job_id = requested.id and not d.superseded
    where d.job_id is null or d.replayed_at is not null or d.closed_at is not null
    order by requested.position
    limit 1;
    if not found then
        return;
    elsif ineligible.job_id is null then
        raise exception using errcode = 'CQ001',
            message = format('Job %s is not in the dead-letter queue: nothing was %s.', ineligible.id, check_replayable.done);
    elsif ineligible.replayed_at is not null then
        raise exception using errcode = 'CQ003',
            message = format('Job %s was replayed already%s: nothing was %s.', ineligible.id,
                             coalesce(' as job ' || ineligible.replayed_job_id, ''), check_replayable.done);
    elsif ineligible.discarded then
        raise exception using errcode = 'CQ003',
            message = format('Job %s was discarded: nothing was %s. `cogo undo discard` opens it again.', ineligible.id, check_replayable.done);
    end if;
    raise exception using errcode = 'CQ003',
        message = format('Job %s was retried since it failed: nothing was %s.', ineligible.id, check_replayable.done);
end $$;

comment on function cogo_internal.check_replayable is 'Check that the named jobs can be replayed.';
