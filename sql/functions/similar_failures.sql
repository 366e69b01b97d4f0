/*
 * The failures of several periods, one row for messages that differ in digits only.
 *
 * Returns the most frequent message of the row, how often it occurred (largest), and all failures of the row (n).
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.similar_failures(parts public.job_periods[])
returns table (type text, class text, message text, largest bigint, n bigint)
language sql immutable set search_path = '' as $$
    with failed as (
        select f.type, f.class, f.message, sum(coalesce(f.largest, f.n)) as largest, sum(f.n) as n
        from unnest(similar_failures.parts) as p
        cross join lateral jsonb_to_recordset(p.failures) as f (type text, class text, message text, largest bigint, n bigint)
        group by 1, 2, 3
    )
    select f.type, f.class, (array_agg(f.message order by f.largest desc, f.message))[1], max(f.largest)::bigint, sum(f.n)::bigint
    from failed f
    -- '0x' begins another kind of number. Grouped by host and status too: the fingerprint keeps their digits.
    group by f.type, f.class, translate(replace(replace(f.message, '0x', '0~'), '0X', '0~'), '123456789', '000000000'),
             substring(f.message from '://([^/\s]+)'), substring(f.message from '\m[1-5][0-9][0-9]\M')
$$;

comment on function cogo_internal.similar_failures is 'The failures of several periods, grouped by similar messages.';
