/*
 * The newest ready artifact of each cache key.
 *
 * cache_keys   ["…"], at most 1,000
 *
 * Returns {"<cache key>": the artifact}; keys without an artifact are left out. Errors: CQ005.
 */
create or replace function public.find_cached_artifacts(cache_keys jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    result jsonb;
begin
    if jsonb_typeof(find_cached_artifacts.cache_keys) is distinct from 'array'
       or jsonb_array_length(find_cached_artifacts.cache_keys) > 1000
    then
        perform cogo_internal.invalid_argument('cache_keys must be an array of at most 1,000 strings.');
    end if;
    select jsonb_object_agg(wanted.key, cogo_internal.artifact_row(newest.artifact)) into result
    from jsonb_array_elements_text(find_cached_artifacts.cache_keys) as wanted (key)
    cross join lateral (
        select a as artifact from public.artifacts a
        where a.cache_key = wanted.key and a.status = 'ready' order by a.created_at desc limit 1
    ) newest;
    return coalesce(result, '{}');
end $$;

comment on function public.find_cached_artifacts is 'The newest ready artifact of each cache key.';
