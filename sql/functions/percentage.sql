/*
 * A share as a percentage with two decimals; null if the whole is 0.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.percentage(part bigint, whole bigint) returns double precision
language sql immutable set search_path = '' as $$
    select case when percentage.whole > 0 then round(100.0 * percentage.part / percentage.whole, 2)::double precision end
$$;

comment on function cogo_internal.percentage is 'A share as a percentage; null if the whole is 0.';
