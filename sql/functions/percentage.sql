/*
 * A share in per cent with two decimals; null of nothing.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.percentage(part bigint, whole bigint) returns double precision
language sql immutable set search_path = '' as $$
    select case when percentage.whole > 0 then round(100.0 * percentage.part / percentage.whole, 2)::double precision end
$$;

comment on function cogo_internal.percentage is 'A share in per cent; null of nothing.';
