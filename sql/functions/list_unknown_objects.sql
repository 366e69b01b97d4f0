/*
 * Storage keys of objects that no row needs: neither an artifact has the key, nor is it of an attempt that is still
 * running, whose row is created when the attempt is settled.
 * storage_keys   ["jobs/…", …]. Returns the unknown keys, in the order given. Errors: none.
 */
create or replace function public.list_unknown_objects(storage_keys jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(requested.key order by requested.position), '[]')
    from jsonb_array_elements_text(list_unknown_objects.storage_keys) with ordinality as requested (key, position)
    where not exists (select from public.artifacts a where a.storage_key = requested.key)
      and not exists (
          select from public.jobs j
          where j.id = case when requested.key ~ '^jobs/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/'
                  then split_part(requested.key, '/', 2)::uuid end
            and j.lease_token::text = split_part(requested.key, '/', 3) and j.lease_expires_at is not null)
$$;

comment on function public.list_unknown_objects is 'Storage keys of objects that no row needs.';
