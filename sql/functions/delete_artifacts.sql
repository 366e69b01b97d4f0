/*
 * Delete the rows of abandoned artifacts whose objects are deleted. Ready artifacts are never deleted, and rows that
 * another call has locked are left to the next sweep. Returns {"changed"}.
 */
create or replace function public.delete_artifacts(artifact_ids jsonb) returns jsonb
language sql set search_path = '' as $$
    with abandoned as materialized (
        select a.id from public.artifacts a
        where a.id in (select requested.id::uuid from jsonb_array_elements_text(delete_artifacts.artifact_ids) as requested (id))
          and a.status in ('pending', 'orphaned')
        order by a.id for update of a skip locked
    ), deleted as (
        delete from public.artifacts a using abandoned where a.id = abandoned.id
        returning 1
    )
    select jsonb_build_object('changed', (select count(*) from deleted))
$$;

comment on function public.delete_artifacts is 'Delete the rows of abandoned artifacts.';
