/*
 * The seconds from one time to another, below 0 if they are in the other order; null if one is null or infinite:
 * before PostgreSQL 17 infinite times cannot be subtracted.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.seconds_between(earlier timestamptz, later timestamptz) returns double precision
language sql immutable as $$
    select case when pg_catalog.isfinite(earlier) and pg_catalog.isfinite(later)
        then extract(epoch from later - earlier)::double precision end
$$;

comment on function cogo_internal.seconds_between is 'Seconds from one time to another; null for infinite ones.';
