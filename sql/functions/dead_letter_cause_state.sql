/*
 * What became of the dead-lettered jobs of a cause that failed at or after a time: open if no operator acted on one of them,
 * else the state of the newest that has not ended, else ended. See dead_letter_state. Errors: none.
 *
 * Replays run in the order of the failures: the newest, which end last, are read first.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.dead_letter_cause_state(fingerprint text, since timestamptz) returns text
language plpgsql stable
set search_path = '' set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    entry public.jobs_dlq;
    state text;
begin
    if exists (select from public.jobs_dlq d
               where d.fingerprint = dead_letter_cause_state.fingerprint
                 and not d.superseded and d.closed_at is null and d.replayed_at is null) then
        return 'open';
    end if;
    for entry in
        select d.* from public.jobs_dlq d
        where d.fingerprint = dead_letter_cause_state.fingerprint and d.failed_at >= dead_letter_cause_state.since
          and not d.superseded and (d.closed_at is not null or d.replayed_at is not null) and d.discarded_at is null
        order by d.failed_at desc
    loop
        state := cogo_internal.dead_letter_state(entry);
        if state <> 'ended' then
            return state;
        end if;
    end loop;
    return 'ended';
end $$;

comment on function cogo_internal.dead_letter_cause_state is 'What became of the dead-lettered jobs of a cause.';
