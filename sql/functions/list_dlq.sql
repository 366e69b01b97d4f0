/*
 * The dead-letter queue, newest failure first. Every filter may be null.
 *
 * open_only      only jobs that were neither replayed, retried nor discarded since
 * since_seconds  failed within this many seconds
 * fingerprint    of the error: see error_fingerprint
 * before         {"failed_at", "job_id"} of the last job of the previous page, for the next page
 */
create or replace function public.list_dlq(
    type_prefix text default null, executor_id text default null, since_seconds double precision default null,
    fingerprint text default null, open_only boolean default true, before jsonb default null,
    max_jobs integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    select jsonb_agg(cogo_internal.dead_letter_row(page.entry) order by (page.entry).failed_at desc, (page.entry).job_id desc) into result
    from (
        select d as entry from public.jobs_dlq d
        where not d.superseded
          and (list_dlq.type_prefix is null or starts_with(d.type, list_dlq.type_prefix))
          and (list_dlq.executor_id is null or d.executor_id = list_dlq.executor_id)
          and (list_dlq.since_seconds is null or d.failed_at >= at - make_interval(secs => list_dlq.since_seconds))
          and (not list_dlq.open_only or d.closed_at is null and d.replayed_at is null)
          and (list_dlq.fingerprint is null or d.fingerprint = list_dlq.fingerprint)
          and (list_dlq.before is null
               or (d.failed_at, d.job_id) < ((list_dlq.before ->> 'failed_at')::timestamptz, (list_dlq.before ->> 'job_id')::uuid))
        order by d.failed_at desc, d.job_id desc
        limit least(list_dlq.max_jobs, 1000)
    ) page;
    return coalesce(result, '[]');
end $$;

comment on function public.list_dlq is 'The dead-letter queue, newest first, filtered.';
