/*
 * The dead-letter queue, newest failure first. `open_only`: neither replayed nor retried since.
 */
create or replace function public.list_dlq(
    type_prefix text default null, open_only boolean default true, max_jobs integer default 50
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'job_id', found.job_id, 'type', found.type, 'executor_id', found.executor_id, 'attempts', found.attempts,
        'max_attempts', found.max_attempts, 'reason', found.reason, 'error', found.error, 'failed_at', found.failed_at,
        'replayed_at', found.replayed_at, 'replayed_job_id', found.replayed_job_id, 'closed_at', found.closed_at)
        order by found.failed_at desc), '[]')
    from (
        select d.* from public.jobs_dlq d
        where not d.superseded
          and (list_dlq.type_prefix is null or starts_with(d.type, list_dlq.type_prefix))
          and (not list_dlq.open_only or d.replayed_at is null and d.closed_at is null)
        order by d.failed_at desc
        limit least(list_dlq.max_jobs, 1000)
    ) found
$$;

comment on function public.list_dlq is 'The dead-letter queue, newest first.';
