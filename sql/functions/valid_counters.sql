/*
 * The valid counters of a document: its numbers from 0 to 10^15. Other values are left out, so that no sum or page fails
 * because of one row.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.valid_counters(document jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select coalesce(jsonb_object_agg(c.key, c.value), '{}')
    from jsonb_each(case when jsonb_typeof(valid_counters.document) = 'object' then valid_counters.document else '{}' end) as c (key, value)
    where case when jsonb_typeof(c.value) = 'number' then c.value::numeric between 0 and 1e15 end
$$;

comment on function cogo_internal.valid_counters is 'The valid counters of a document.';
