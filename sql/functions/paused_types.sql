/*
 * What a claim must leave alone: a regular expression that the paused types match, each with all below it;
 * one that matches everything where the executor is paused; null where nothing is.
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

comment on function cogo_internal.paused_types is 'What a claim must leave alone, as a regular expression.';
