/*
 * Whether a document is too short to be nested too deep or to hold too long a number: a cheap check before json_fault,
 * 0.2 µs for 70 bytes. The stored size is checked first: the text of a compressed document may be long.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.is_small_json(document jsonb) returns boolean
language sql stable as $$
    select pg_catalog.pg_column_size(document) <= 400 and pg_catalog.octet_length(document::text) <= 200
$$;

comment on function cogo_internal.is_small_json is 'Whether a document is too short to exceed a limit.';
