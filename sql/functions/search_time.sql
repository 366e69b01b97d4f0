/*
 * A bound of a filter of query_jobs: a time as text, or a number of seconds before `at`; null for null.
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.search_time(bound jsonb, at timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
    if jsonb_typeof(search_time.bound) = 'number' then
        return search_time.at - make_interval(secs => (search_time.bound #>> '{}')::double precision);
    end if;
    return (search_time.bound #>> '{}')::timestamptz;
exception when datetime_field_overflow or invalid_datetime_format or numeric_value_out_of_range or interval_field_overflow then
    perform cogo_internal.invalid_argument('A time in the filter must be an ISO 8601 time, or a number of seconds.');
    return null;
end $$;

comment on function cogo_internal.search_time is 'A bound of a time in a filter of jobs.';
