/*
 * Jobs, newest first. Every filter may be null.
 *
 * statuses        ["queued", "failed"]
 * type_prefix     "browser" matches browser and browser.pdf
 * since_seconds   created within this many seconds
 * before_id       the last id of the previous page, for the next page
 *
 * Each call is planned for its filters: a generic plan read the whole table even without a filter.
 */
create or replace function public.list_jobs(
    statuses jsonb default null, type_prefix text default null, executor_id text default null,
    since_seconds double precision default null, before_id uuid default null, max_jobs integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    wanted text[] := array(select jsonb_array_elements_text(list_jobs.statuses));
    unknown text;
    result jsonb;
begin
    select s into unknown from unnest(wanted) s where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled');
    if unknown is not null then
        perform cogo_internal.invalid_argument(format(
            'The status %s is unknown: use queued, running, succeeded, failed or cancelled.', quote_literal(unknown)));
    end if;
    select jsonb_agg(cogo_internal.job_row(page.job) order by (page.job).id desc) into result
    from (
        select j as job from public.jobs j
        where (cardinality(wanted) = 0 or j.status = any (wanted))
          and (list_jobs.type_prefix is null or starts_with(j.type, list_jobs.type_prefix))
          and (list_jobs.executor_id is null or j.executor_id = list_jobs.executor_id)
          and (list_jobs.since_seconds is null or j.created_at >= at - make_interval(secs => list_jobs.since_seconds))
          and (list_jobs.before_id is null or j.id < list_jobs.before_id)
        order by j.id desc
        limit least(list_jobs.max_jobs, 1000)
    ) page;
    return coalesce(result, '[]');
end $$;

comment on function public.list_jobs is 'Jobs, newest first, filtered.';
