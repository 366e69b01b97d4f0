/*
 * How many replays led to a job: 0 for a job that was enqueued, 1 for its replay, and so on.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.replay_count(job_id uuid) returns integer
language sql stable set search_path = '' as $$
    with recursive lineage as (
        select d.job_id, 1 as steps from public.jobs_dlq d where d.replayed_job_id = replay_count.job_id
        union all
        select d.job_id, l.steps + 1 from lineage l join public.jobs_dlq d on d.replayed_job_id = l.job_id
        where l.steps < 1000
    )
    select coalesce(max(l.steps), 0) from lineage l
$$;

comment on function cogo_internal.replay_count is 'How many replays led to a job.';
