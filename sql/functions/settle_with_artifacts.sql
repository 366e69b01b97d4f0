/*
 * Settle attempts whose files are stored already, and record the files as ready, in one transaction. Fenced like
 * settle_jobs: a settlement that is rejected records no file.
 *
 * settlements   As for settle_jobs, with `artifacts` in each: [{"id", "name", "content_type", "size_bytes", "sha256",
 *               "extension", "cache_key"}] as for create_artifacts, with an optional id. The object of a file must be at
 *               the key jobs/<job_id>/<lease_token>/<sha256>.<extension>. Files of the outcome `requeued` become `orphaned`
 *
 * Until this call, list_unknown_objects spares the objects because the attempt is running; after a lost lease it returns
 * them. Returns what settle_jobs returns; safe to repeat. Errors: CQ005.
 */
create or replace function public.settle_with_artifacts(settlements jsonb) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    held uuid[];
begin
    if jsonb_typeof(settle_with_artifacts.settlements) is distinct from 'array' then
        perform cogo_internal.invalid_argument('settlements must be an array.');
    end if;
    perform cogo_internal.invalid_argument('artifacts must be an array of at most 10,000 files with unique names.')
    from jsonb_array_elements(settle_with_artifacts.settlements) s
    where jsonb_typeof(s -> 'artifacts') <> 'array' or jsonb_array_length(s -> 'artifacts') > 10000
       or (select count(distinct f ->> 'name') from jsonb_array_elements(s -> 'artifacts') f) <> jsonb_array_length(s -> 'artifacts');

    -- Jobs, then artifacts, each in the order of their ids, as in all other functions. A job that is locked here cannot be
    -- recovered before the commit.
    with locked as materialized (
        select j.id
        from jsonb_to_recordset(settle_with_artifacts.settlements) as s (job_id uuid, lease_token uuid)
        join public.jobs j on j.id = s.job_id and j.lease_token = s.lease_token and j.lease_expires_at is not null
        order by j.id for no key update of j
    )
    select array_agg(locked.id) into held from locked;
    perform from jsonb_to_recordset(settle_with_artifacts.settlements) as s (job_id uuid, lease_token uuid)
    join public.artifacts a on a.job_id = s.job_id and a.lease_token = s.lease_token
    where s.job_id = any (held)
    order by a.id for update of a;

    insert into public.artifacts as a (id, job_id, lease_token, attempt, name, content_type, size_bytes, sha256, storage_key,
                                       cache_key, status, created_at, ready_at)
    select coalesce(f.id, gen_random_uuid()), j.id, j.lease_token, j.attempts,
        case when length(f.name) between 1 and 255 then f.name
            else cogo_internal.invalid_argument('The name of an artifact must have 1 to 255 characters.')::text end,
        case when length(f.content_type) > 255
            then cogo_internal.invalid_argument('The content type of an artifact must have at most 255 characters.')::text
            else f.content_type end,
        case when f.size_bytes >= 0 then f.size_bytes
            else cogo_internal.invalid_argument('size_bytes must be 0 or more.')::text::bigint end,
        f.sha256,
        format('jobs/%s/%s/%s.%s', j.id, j.lease_token,
            case when f.sha256 ~ '^[0-9a-f]{64}$' then f.sha256
                else cogo_internal.invalid_argument('sha256 must be 64 hexadecimal digits.')::text end,
            case when f.extension ~ '^[a-z0-9]{1,10}$' then f.extension
                else cogo_internal.invalid_argument('The extension must be 1 to 10 lower-case letters or digits.')::text end),
        case when length(f.cache_key) > 500
            then cogo_internal.invalid_argument('The cache key of an artifact must have at most 500 characters.')::text
            else f.cache_key end,
        'ready', at, at
    from jsonb_to_recordset(settle_with_artifacts.settlements) as s (job_id uuid, lease_token uuid, artifacts jsonb)
    join public.jobs j on j.id = s.job_id and j.lease_token = s.lease_token
    cross join jsonb_to_recordset(s.artifacts) as f (id uuid, name text, content_type text, size_bytes bigint, sha256 text,
                                                     extension text, cache_key text)
    where j.id = any (held)
    order by j.id, f.name
    on conflict (job_id, lease_token, name) where lease_token is not null
        do update set content_type = excluded.content_type, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
                      storage_key = excluded.storage_key, cache_key = excluded.cache_key, status = 'ready',
                      ready_at = excluded.ready_at;

    return public.settle_jobs(settle_with_artifacts.settlements);
end $$;

comment on function public.settle_with_artifacts is 'Settle attempts whose files are stored, and record the files.';
