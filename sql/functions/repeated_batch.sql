/*
 * The stored result of a batch that is done, for a call that is repeated because its reply was lost; null for a new batch.
 * The action is locked until the transaction ends.
 *
 * action   {"id": uuid, "batch": number from 0, "actor": text}; null is an action of one batch
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.repeated_batch(action jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
    if repeated_batch.action is null then
        return null;
    end if;
    if repeated_batch.action ->> 'id' is null or coalesce((repeated_batch.action ->> 'batch')::integer, 0) < 0 then
        perform cogo_internal.invalid_argument('action must be an object such as {"id": a uuid, "batch": 0, "actor": "who"}.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('action ' || (repeated_batch.action ->> 'id'), 0));
    return (select l.answer from public.operations_log l
            where l.id = (repeated_batch.action ->> 'id')::uuid
              and l.batches > coalesce((repeated_batch.action ->> 'batch')::integer, 0));
end $$;

comment on function cogo_internal.repeated_batch is 'The stored result of a batch that is done.';
