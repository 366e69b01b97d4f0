/*
 * Create the row of a file that belongs to no job: the report of a gate run in CI, a chart. Its storage key is made from
 * its content, so that the same content is stored once; creating it again restarts its retention period.
 *
 * Returns {"artifact_id", "storage_key", "status" pending or ready}. A pending report must be finished within ten
 * minutes. Errors: CQ005.
 */
create or replace function public.create_report(
    name text, content_type text, size_bytes bigint, sha256 text, extension text
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    key text;
    known public.artifacts;
begin
    perform case
        when create_report.sha256 is null or create_report.sha256 !~ '^[0-9a-f]{64}$'
            then cogo_internal.invalid_argument('sha256 must be 64 hexadecimal digits.')
        when create_report.extension is null or create_report.extension !~ '^[a-z0-9]{1,10}$'
            then cogo_internal.invalid_argument('The extension must be 1 to 10 lower-case letters or digits.')
        when coalesce(length(create_report.name), 0) not between 1 and 255
            then cogo_internal.invalid_argument('The name must have 1 to 255 characters.')
        when length(create_report.content_type) > 255
            then cogo_internal.invalid_argument('The content type must have at most 255 characters.')
        when create_report.size_bytes < 0 then cogo_internal.invalid_argument('size_bytes must be 0 or more.')
    end;
    key := format('reports/%s.%s', create_report.sha256, create_report.extension);
    perform pg_advisory_xact_lock(hashtextextended(key, 0));
    -- An object that a sweeper may be deleting is not reused: the new key gets a number.
    for generation in 2..1000 loop
        select * into known from public.artifacts a where a.storage_key = key and a.job_id is null;
        exit when known.id is null or known.status = 'ready' or known.status = 'pending' and known.created_at > at - interval '5 minutes';
        key := format('reports/%s.%s.%s', create_report.sha256, generation, create_report.extension);
    end loop;
    if known.id is null then
        insert into public.artifacts (name, content_type, size_bytes, sha256, storage_key, status, created_at)
        values (create_report.name, create_report.content_type, create_report.size_bytes, create_report.sha256, key, 'pending', at)
        returning * into known;
    else
        update public.artifacts a set created_at = at where a.id = known.id returning * into known;
    end if;
    return jsonb_build_object('artifact_id', known.id, 'storage_key', known.storage_key, 'status', known.status);
end $$;

comment on function public.create_report is 'Create the row of a file that belongs to no job.';
