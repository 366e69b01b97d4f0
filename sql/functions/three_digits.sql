/*
 * A duration in whole units, rounded to its first three digits (half up), so that many durations have few values.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.three_digits(amount double precision) returns bigint
language sql immutable as $$
    -- Comparisons, since logarithms and powers take longer than reading a row.
    select case
        when amount < 1e3 then pg_catalog.floor(amount + 0.5)
        when amount < 1e4 then 1e1::float8 * pg_catalog.floor(amount / 1e1 + 0.5)
        when amount < 1e5 then 1e2::float8 * pg_catalog.floor(amount / 1e2 + 0.5)
        when amount < 1e6 then 1e3::float8 * pg_catalog.floor(amount / 1e3 + 0.5)
        when amount < 1e7 then 1e4::float8 * pg_catalog.floor(amount / 1e4 + 0.5)
        when amount < 1e8 then 1e5::float8 * pg_catalog.floor(amount / 1e5 + 0.5)
        when amount < 1e9 then 1e6::float8 * pg_catalog.floor(amount / 1e6 + 0.5)
        when amount < 1e10 then 1e7::float8 * pg_catalog.floor(amount / 1e7 + 0.5)
        when amount < 1e11 then 1e8::float8 * pg_catalog.floor(amount / 1e8 + 0.5)
        else 1e9::float8 * pg_catalog.floor(amount / 1e9 + 0.5) end::bigint
$$;

comment on function cogo_internal.three_digits is 'A duration, rounded to its first three digits.';
