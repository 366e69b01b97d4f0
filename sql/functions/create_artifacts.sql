/*
 * Create rows for files that an attempt is about to upload; the server chooses their storage keys. Fenced: only the
 * holder of the lease may create them. A repeated call returns the same rows.
 *
 * artifacts   [{"name", "content_type", "size_bytes", "sha256", "extension", "cache_key"}], at most 10,000; a `cache_key`
 *             is for find_cached_artifacts. A name and a content type have at most 255 characters, a cache key 500
 *
 * Returns {"artifacts": [{"artifact_id", "storage_key"}]} in the order given; each row is `pending`.
 * Errors: CQ002 lease lost, CQ005.
 */
create or replace function public.create_artifacts(job_id uuid, lease_token uuid, artifacts jsonb) returns jsonb
language plpgsql set search_path = '' as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    attempt integer;
    result jsonb;
begin
    -- One call at a time: two concurrent calls could wait for each other's new rows.
    perform pg_advisory_xact_lock(hashtextextended(
        'cogo artifacts ' || create_artifacts.job_id || ' ' || create_artifacts.lease_token, 0));
    select j.attempts into attempt from public.jobs j
    where j.id = create_artifacts.job_id and j.lease_token = create_artifacts.lease_token and j.status = 'running';
    if not found then
        raise exception using errcode = 'CQ002',
            message = format('The lease on job %s is lost: its artifacts are not accepted.', create_artifacts.job_id);
    end if;

    if jsonb_typeof(create_artifacts.artifacts) is distinct from 'array' or jsonb_array_length(create_artifacts.artifacts) > 10000 then
        perform cogo_internal.invalid_argument('artifacts must be an array of at most 10,000 files.');
    end if;
    if (select count(distinct i ->> 'name') from jsonb_array_elements(create_artifacts.artifacts) i)
        <> jsonb_array_length(create_artifacts.artifacts)
    then
        perform cogo_internal.invalid_argument('Each artifact needs a unique name.');
    end if;
    perform case
        when length(i ->> 'name') not between 1 and 255
            then cogo_internal.invalid_argument('The name of an artifact must have 1 to 255 characters.')
        when length(i ->> 'content_type') > 255
            then cogo_internal.invalid_argument('The content type of an artifact must have at most 255 characters.')
        when length(i ->> 'cache_key') > 500
            then cogo_internal.invalid_argument('The cache key of an artifact must have at most 500 characters.')
        when (i ->> 'size_bytes')::numeric not between 0 and 1e15
            then cogo_internal.invalid_argument('size_bytes must be 0 or more.')
    end
    from jsonb_array_elements(create_artifacts.artifacts) i;

    -- The upsert below updates rows by name; they are locked by id first, as in all other functions.
    perform from public.artifacts a
    where a.job_id = create_artifacts.job_id and a.lease_token = create_artifacts.lease_token
    order by a.id for update;

    with item as materialized (
        select i.*, format('jobs/%s/%s/%s.%s', create_artifacts.job_id, create_artifacts.lease_token,
            case when i.sha256 ~ '^[0-9a-f]{64}$' then i.sha256
                else cogo_internal.invalid_argument('sha256 must be 64 hexadecimal digits.')::text end,
            case when i.extension ~ '^[a-z0-9]{1,10}$' then i.extension
                else cogo_internal.invalid_argument('The extension must be 1 to 10 lower-case letters or digits.')::text end) as storage_key
        from rows from (jsonb_to_recordset(create_artifacts.artifacts) as (
            name text, content_type text, size_bytes bigint, sha256 text, extension text, cache_key text
        )) with ordinality as i (name, content_type, size_bytes, sha256, extension, cache_key, position)
    ), created as (
        insert into public.artifacts as a (job_id, lease_token, attempt, name, content_type, size_bytes, sha256,
                                           storage_key, cache_key, status, created_at)
        select create_artifacts.job_id, create_artifacts.lease_token, attempt, i.name, i.content_type, i.size_bytes,
               i.sha256, i.storage_key, i.cache_key, 'pending', at
        from item i order by i.name
        on conflict (job_id, lease_token, name) where lease_token is not null
            do update set content_type = excluded.content_type, size_bytes = excluded.size_bytes,
                          sha256 = excluded.sha256, storage_key = excluded.storage_key, cache_key = excluded.cache_key,
                          status = case when a.storage_key = excluded.storage_key then a.status else 'pending' end
        returning a.id, a.name, a.storage_key
    )
    select jsonb_agg(jsonb_build_object('artifact_id', c.id, 'storage_key', c.storage_key) order by i.position)
    into result from item i join created c on c.name = i.name;
    return jsonb_build_object('artifacts', coalesce(result, '[]'));
end $$;

comment on function public.create_artifacts is 'Create rows for files that an attempt is about to upload.';
