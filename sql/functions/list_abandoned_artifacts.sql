/*
 * Artifacts that the sweeper may delete: unfinished uploads and files of lost attempts, older than grace_seconds, oldest
 * first. A file without a job is kept for at least 15 minutes.
 *
 * after_id   The last artifact of the previous page that could not be deleted, so that those after it follow.
 *            If it no longer exists, the page begins with the oldest.
 *
 * The sweeper deletes the object first, then calls delete_artifacts. Returns [{"artifact_id", "storage_key"}]. The key is
 * null while another row uses the object: ready, expired (its object is kept on purpose) or being uploaded. Then only the
 * row is deleted.
 */
create or replace function public.list_abandoned_artifacts(
    grace_seconds integer default 300, max_artifacts integer default 100, after_id uuid default null
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := now();
    after_at timestamptz;
begin
    select a.created_at into after_at from public.artifacts a where a.id = list_abandoned_artifacts.after_id;
    return (
        select coalesce(jsonb_agg(jsonb_build_object('artifact_id', page.id, 'storage_key', page.storage_key)
                                  order by page.created_at, page.id), '[]')
        from (
            select a.id, a.created_at, case when not exists (
                select from public.artifacts other
                where other.storage_key = a.storage_key and other.id <> a.id
                  and (other.status in ('ready', 'expired')
                       or other.status = 'pending' and (
                           other.created_at >= at - make_interval(secs => list_abandoned_artifacts.grace_seconds)
                           or exists (select from public.jobs j
                                      where j.id = other.job_id and j.lease_token = other.lease_token
                                        and j.status = 'running')))
            ) then a.storage_key end as storage_key
            from public.artifacts a
            where a.status in ('pending', 'orphaned')
              and (after_at is null or a.created_at >= after_at
                   and (a.created_at, a.id) > (after_at, list_abandoned_artifacts.after_id))
              and a.created_at < at - make_interval(secs => case
                  when a.job_id is null then greatest(list_abandoned_artifacts.grace_seconds, 900)
                  else list_abandoned_artifacts.grace_seconds end)
              and not exists (select from public.jobs j
                              where j.id = a.job_id and j.lease_token = a.lease_token and j.status = 'running')
            order by a.created_at, a.id
            limit least(list_abandoned_artifacts.max_artifacts, 1000)
        ) page);
end $$;

comment on function public.list_abandoned_artifacts is 'Artifacts that the sweeper may delete.';
