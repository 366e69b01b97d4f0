/*
 * The types that a claim must skip, as a regular expression: the paused types with their subtypes; everything if the
 * executor is paused; null if nothing is.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.paused_types(executor_id text) returns text
language sql stable set search_path = '' as $$
    select case when bool_or(p.kind = 'executor') then ''
        else '^(' || string_agg(replace(p.name, '.', '\.'), '|') || ')(\.|$)' end
    from public.paused p
    where p.kind = 'type' or p.name = paused_types.executor_id
$$;

comment on function cogo_internal.paused_types is 'The types that a claim must skip, as a regular expression.';
