/*
 * Of the given storage keys, those without an artifact row: their row was swept before the upload ended.
 * storage_keys   ["jobs/…", …]. Returns the unknown ones, in the order given. Errors: none.
 */
create or replace function public.list_unknown_objects(storage_keys jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(given.key order by given.position), '[]')
    from jsonb_array_elements_text(list_unknown_objects.storage_keys) with ordinality as given (key, position)
    where not exists (select from public.artifacts a where a.storage_key = given.key)
$$;

comment on function public.list_unknown_objects is 'Of the given storage keys, those without an artifact row.';
