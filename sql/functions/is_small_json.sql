/*
 * Whether a document is so short that it can neither be nested too deep nor hold too long a number: the guard before
 * json_fault, a fifth of a microsecond for 70 bytes. The stored size comes first: the text of a short document may be long.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.is_small_json(document jsonb) returns boolean
language sql stable as $$
    select pg_catalog.pg_column_size(document) <= 400 and pg_catalog.octet_length(document::text) <= 200
$$;

comment on function cogo_internal.is_small_json is 'Whether a document is too short to break a limit.';
