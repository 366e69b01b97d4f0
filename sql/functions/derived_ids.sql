/*
 * The ids of `id_count` jobs enqueued by one request: the request's uuid, incremented in its last 32 bits. The same
 * request gives the same ids, so that a repeated call finds its own rows.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.derived_ids(request_id uuid, id_count integer) returns uuid[]
language sql immutable set search_path = '' as $$
    select coalesce(array_agg((hex.prefix || lpad(to_hex((hex.tail + n) % 4294967296), 8, '0'))::uuid order by n), '{}')
    from (select left(replace(derived_ids.request_id::text, '-', ''), 24),
                 ('x' || right(derived_ids.request_id::text, 8))::bit(32)::bigint) as hex (prefix, tail)
    cross join generate_series(0, derived_ids.id_count - 1) as n
$$;

comment on function cogo_internal.derived_ids is 'The ids of the jobs of one enqueue request, in order.';
