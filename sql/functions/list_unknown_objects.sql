/*
 * Storage keys that have no artifact row, because the row was swept before the upload ended.
 * storage_keys   ["jobs/…", …]. Returns the keys without a row, in the order given. Errors: none.
 */
create or replace function public.list_unknown_objects(storage_keys jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(requested.key order by requested.position), '[]')
    from jsonb_array_elements_text(list_unknown_objects.storage_keys) with ordinality as requested (key, position)
    where not exists (select from public.artifacts a where a.storage_key = requested.key)
$$;

comment on function public.list_unknown_objects is 'Storage keys that have no artifact row.';
