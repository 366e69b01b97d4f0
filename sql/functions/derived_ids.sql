/*
 * The ids of `id_count` jobs enqueued by one request: the request's uuid, incremented in its last 32 bits. The same
 * request gives the same ids, so that a repeated call finds its own rows.
 *
 * Not in SQL: the planner would compute the parts of the request's uuid again for each id, four times the cost.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.derived_ids(request_id uuid, id_count integer) returns uuid[]
language plpgsql immutable set search_path = '' as $$
declare
    digits constant text := replace(derived_ids.request_id::text, '-', '');
    prefix constant text := left(digits, 16);
    high constant bigint := ('x' || substr(digits, 17, 8) || '00000000')::bit(64)::bigint;
    low constant bigint := ('x' || right(digits, 8))::bit(32)::bigint;
begin
    if substr(digits, 17, 1) <> '0' then  -- as in every UUID of RFC 9562: to_hex returns 16 digits
        return array(select (prefix || to_hex(high + (low + n) % 4294967296))::uuid
                     from generate_series(0, derived_ids.id_count - 1) as n);
    end if;
    return array(select (prefix || lpad(to_hex(high + (low + n) % 4294967296), 16, '0'))::uuid
                 from generate_series(0, derived_ids.id_count - 1) as n);
end $$;

comment on function cogo_internal.derived_ids is 'The ids of the jobs of one enqueue request, in order.';
