/*
 * Artifacts, newest first. Every filter may be null; type_prefix and executor_id are those of the job, if it still exists.
 *
 * before   {"created_at", "id"} of the last artifact of the previous page, for the next page
 */
create or replace function public.list_artifacts(
    job_id uuid default null, status text default null, type_prefix text default null, executor_id text default null,
    since_seconds double precision default null, before jsonb default null, max_artifacts integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    select jsonb_agg(cogo_internal.artifact_row(page.artifact) order by (page.artifact).created_at desc, (page.artifact).id desc) into result
    from (
        select a as artifact from public.artifacts a
        where (list_artifacts.job_id is null or a.job_id = list_artifacts.job_id)
          and (list_artifacts.status is null or a.status = list_artifacts.status)
          and (list_artifacts.since_seconds is null or a.created_at >= at - make_interval(secs => list_artifacts.since_seconds))
          and (list_artifacts.type_prefix is null and list_artifacts.executor_id is null or exists (
              select from public.jobs j where j.id = a.job_id
                and (list_artifacts.type_prefix is null or starts_with(j.type, list_artifacts.type_prefix))
                and (list_artifacts.executor_id is null or j.executor_id = list_artifacts.executor_id)))
          and (list_artifacts.before is null or a.created_at <= (list_artifacts.before ->> 'created_at')::timestamptz
               and (a.created_at, a.id) < ((list_artifacts.before ->> 'created_at')::timestamptz, (list_artifacts.before ->> 'id')::uuid))
        order by a.created_at desc, a.id desc
        limit least(list_artifacts.max_artifacts, 1000)
    ) page;
    return coalesce(result, '[]');
end $$;

comment on function public.list_artifacts is 'Artifacts, newest first, filtered.';
