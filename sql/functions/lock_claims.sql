/*
 * Take the claim locks of families until the end of the transaction; return whether they are exclusive. See claim_jobs.
 *
 * alone   Take them exclusively if no other transaction has one of them within 10 ms: a claim of 500 jobs takes 5 ms, and
 *         one beside it costs a tenth more than one after it, since both lock their rows.
 *
 * Another exclusive holder is awaited for at most 50 ms: without the lock a claim is as correct, but may find the rows
 * that the holder is about to update.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.lock_claims(families jsonb, alone boolean) returns boolean
language plpgsql set search_path = '' as $$
declare
    keys bigint[];
    waits integer := 0;
begin
    select array_agg(distinct hashtextextended('cogo claims ' || coalesce(family ->> 'family', ''), 0)) into keys
    from jsonb_array_elements(lock_claims.families) family;
    if alone and cardinality(keys) = 1 then
        loop
            if pg_try_advisory_xact_lock(keys[1]) then
                return true;
            end if;
            exit when waits = 10;
            perform pg_sleep(0.001);
            waits := waits + 1;
        end loop;
    end if;
    for i in 1..coalesce(cardinality(keys), 0) loop
        while not pg_try_advisory_xact_lock_shared(keys[i]) and waits < 50 loop
            perform pg_sleep(0.001);
            waits := waits + 1;
        end loop;
    end loop;
    return false;
end $$;

comment on function cogo_internal.lock_claims is 'Take the claim locks of families.';
