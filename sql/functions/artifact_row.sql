/*
 * An artifact as lists and pages show it.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.artifact_row(artifact public.artifacts) returns jsonb
language sql stable as $$
    select pg_catalog.jsonb_build_object(
        'id', artifact.id, 'job_id', artifact.job_id, 'attempt', artifact.attempt, 'name', artifact.name,
        'content_type', artifact.content_type, 'size_bytes', artifact.size_bytes, 'sha256', artifact.sha256,
        'storage_key', artifact.storage_key, 'status', artifact.status, 'created_at', artifact.created_at,
        'ready_at', artifact.ready_at, 'expires_at', artifact.expires_at)
$$;

comment on function cogo_internal.artifact_row is 'The document a list returns for one artifact.';
