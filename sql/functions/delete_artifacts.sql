/*
 * Forget abandoned artifacts whose objects are deleted. Ready ones are never touched. Returns {"changed"}.
 */
create or replace function public.delete_artifacts(artifact_ids jsonb) returns jsonb
language sql set search_path = '' as $$
    with deleted as (
        delete from public.artifacts a
        using jsonb_array_elements_text(delete_artifacts.artifact_ids) as given (id)
        where a.id = given.id::uuid and a.status in ('pending', 'orphaned')
        returning 1
    )
    select jsonb_build_object('changed', (select count(*) from deleted))
$$;

comment on function public.delete_artifacts is 'Forget abandoned artifacts.';
