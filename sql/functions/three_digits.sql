/*
 * A duration in whole units, rounded to its first three digits, so that many durations have few values.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.three_digits(amount double precision) returns bigint
language sql immutable as $$
    -- A half is rounded up; round() would round it to the even number.
    select case when amount < 1000 then pg_catalog.floor(amount + 0.5)
        else pg_catalog.floor(amount / pg_catalog.power(10, pg_catalog.floor(pg_catalog.log(amount)) - 2) + 0.5)
            * pg_catalog.power(10, pg_catalog.floor(pg_catalog.log(amount)) - 2) end::bigint
$$;

comment on function cogo_internal.three_digits is 'A duration, rounded to its first three digits.';
