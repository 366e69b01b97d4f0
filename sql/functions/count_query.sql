/*
 * How many jobs match a filter of query_jobs: exact up to 1,000, and as far as one page of a search reads.
 *
 * Returns {"count", "more": whether there may be more}. Errors: CQ001 there is no such bulk action, CQ005.
 */
create or replace function public.count_query(filter jsonb default '{}') returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('count', jsonb_array_length(page.found -> 'ids'), 'more', page.found ->> 'next' is not null)
    from (select cogo_internal.search_ids(count_query.filter, null, 1000)) as page (found)
$$;

comment on function public.count_query is 'How many jobs match a filter.';
