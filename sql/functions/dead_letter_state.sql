/*
 * What became of a dead-lettered job:
 *   open       no operator acted on it, or a retry or replay of it failed
 *   retrying   the job that a retry requeued, or that a replay enqueued, has not finished
 *   ended      that job succeeded or was cancelled or purged, or the dead-lettered job was discarded
 *
 * A replay that failed is dead-lettered itself, and what became of it decides; up to 1,000 replays are followed.
 * Errors: none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.dead_letter_state(entry public.jobs_dlq) returns text
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
    latest public.jobs_dlq := dead_letter_state.entry;
    next_entry public.jobs_dlq;
    job_status text;
begin
    for step in 1..1000 loop
        exit when latest.replayed_job_id is null or latest.closed_at is not null;
        select * into next_entry from public.jobs_dlq d where d.job_id = latest.replayed_job_id and not d.superseded;
        exit when not found;
        latest := next_entry;
    end loop;
    if latest.closed_at is null and latest.replayed_at is null then
        return 'open';
    elsif latest.closed_at = latest.discarded_at then
        return 'ended';
    end if;
    select j.status into job_status from public.jobs j
    where j.id = case when latest.closed_at is null then latest.replayed_job_id else latest.job_id end;
    return case when job_status in ('queued', 'running') then 'retrying' else 'ended' end;
end $$;

comment on function cogo_internal.dead_letter_state is 'What became of a dead-lettered job.';
