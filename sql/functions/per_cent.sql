/*
 * A share in per cent with two decimals; null of nothing.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.per_cent(part bigint, whole bigint) returns double precision
language sql immutable set search_path = '' as $$
    select case when per_cent.whole > 0 then round(100.0 * per_cent.part / per_cent.whole, 2)::double precision end
$$;

comment on function cogo_internal.per_cent is 'A share in per cent; null of nothing.';
