/*
 * Artifacts by id; unknown ids are left out.
 */
create or replace function public.get_artifacts(artifact_ids jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.artifact_row(a) order by requested.position), '[]')
    from jsonb_array_elements_text(get_artifacts.artifact_ids) with ordinality as requested (id, position)
    join public.artifacts a on a.id = requested.id::uuid
$$;

comment on function public.get_artifacts is 'Artifacts by id.';
