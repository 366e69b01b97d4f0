/*
 * The release of sql/ in this database, the oldest release of the code that may use it (null: only the same release), and
 * the id of this deployment. Errors: none.
 */
create or replace function public.schema_version() returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('release', d.release, 'oldest_client_release', d.oldest_client_release,
                              'functions_digest', d.functions_digest, 'deployment_id', d.id) from public.deployment d limit 1
$$;

comment on function public.schema_version is 'Release of the schema and id of this deployment.';
