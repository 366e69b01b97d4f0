/*
 * What happens to the stored numbers of a window that was computed again, perhaps with rows that came late, or without
 * rows that were purged.
 *
 *   stored      there were none
 *   unchanged   the numbers are the same
 *   kept        some rows were purged: the numbers that were computed before are kept
 *   revised     rows came late, or this release counts differently: the new numbers, and a higher revision
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.window_outcome(stored jsonb, stored_sources jsonb, numbers jsonb, sources jsonb) returns text
language sql immutable set search_path = '' as $$
    select case
        when window_outcome.stored is null then 'stored'
        when exists (select from jsonb_each(window_outcome.stored_sources) s
                     where (window_outcome.sources -> s.key)::bigint < s.value::bigint) then 'kept'
        when window_outcome.stored = window_outcome.numbers then 'unchanged'
        else 'revised' end
$$;

comment on function cogo_internal.window_outcome is 'What happens to the stored numbers of a window that was computed again.';
