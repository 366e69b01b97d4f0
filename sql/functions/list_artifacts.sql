/*
 * Artifacts, newest first. `job_id` and `status` may be null.
 */
create or replace function public.list_artifacts(
    job_id uuid default null, status text default null, max_artifacts integer default 50
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(public.artifact_row(found.artifact) order by (found.artifact).created_at desc), '[]')
    from (
        select a as artifact from public.artifacts a
        where (list_artifacts.job_id is null or a.job_id = list_artifacts.job_id)
          and (list_artifacts.status is null or a.status = list_artifacts.status)
        order by a.created_at desc
        limit least(list_artifacts.max_artifacts, 1000)
    ) found
$$;

comment on function public.list_artifacts is 'Artifacts, newest first.';
