/*
 * Artifacts whose attempt is gone: unfinished uploads and files of lost leases, older than grace_seconds.
 * An object that a ready artifact uses too, under another name, is spared. A file without a job has a quarter of an hour.
 * The sweeper deletes the object first, then calls delete_artifacts. Returns [{"artifact_id", "storage_key"}].
 */
create or replace function public.list_abandoned_artifacts(
    grace_seconds integer default 300, max_artifacts integer default 100
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('artifact_id', found.id, 'storage_key', found.storage_key)
                              order by found.created_at), '[]')
    from (
        select a.id, a.storage_key, a.created_at from public.artifacts a
        where a.status in ('pending', 'orphaned')
          and a.created_at < now() - make_interval(secs => case
              when a.job_id is null then greatest(list_abandoned_artifacts.grace_seconds, 900)
              else list_abandoned_artifacts.grace_seconds end)
          and not exists (select from public.jobs j
                          where j.id = a.job_id and j.lease_token = a.lease_token and j.status = 'running')
          and not exists (select from public.artifacts ready
                          where ready.job_id = a.job_id and ready.lease_token = a.lease_token
                            and ready.storage_key = a.storage_key and ready.status = 'ready')
        order by a.created_at
        limit list_abandoned_artifacts.max_artifacts
    ) found
$$;

comment on function public.list_abandoned_artifacts is 'Artifacts the sweeper may delete.';
