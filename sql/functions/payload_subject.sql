/*
 * What a job is about: the URL, file, command, week, or repository, branch and commit of its payload; null if it has none.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.payload_subject(payload jsonb) returns text
language sql immutable as $$
    select pg_catalog.left(coalesce(
        nullif(payload_subject.payload ->> 'url', ''), nullif(payload_subject.payload ->> 'file_key', ''),
        nullif(payload_subject.payload ->> 'command', ''),
        nullif(pg_catalog.concat_ws(' ', nullif(payload_subject.payload ->> 'repository', ''), nullif(payload_subject.payload ->> 'branch', ''),
                         nullif(pg_catalog.left(payload_subject.payload ->> 'commit', 8), '')), ''),
        nullif(payload_subject.payload ->> 'week', '')), 300)
$$;

comment on function cogo_internal.payload_subject is 'What a job is about, from its payload.';
