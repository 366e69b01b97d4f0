/*
 * Whether a histogram of run times has valid numbers only.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.valid_latency(latency jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case when jsonb_typeof(latency -> 'bounds_seconds') = 'array' and jsonb_typeof(latency -> 'counts') = 'array'
                 and jsonb_typeof(latency -> 'sum_seconds') = 'number'
        then (latency -> 'sum_seconds')::numeric between 0 and 1e15
            and not jsonb_path_exists(latency, '$.*[*] ? (@.type() != "number" || !(@ >= 0 && @ <= 1000000000000000))')
        else false end
$$;

comment on function cogo_internal.valid_latency is 'Whether a histogram of run times has valid numbers only.';
