/*
 * Record a batch of an operator's action: one row per action, with the sums of its counts. Returns `answer`.
 *
 * action      As in repeated_batch; null: a new id, and the database user as actor
 * operation   "retry_failed"
 * filter      The request; that of the first batch is kept
 * answer      {"matched", "changed", "skipped", …}: the result of the operation
 *
 * Errors: CQ005 the action's id belongs to another operation.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.log_operation(action jsonb, operation text, filter jsonb, answer jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
    insert into public.operations_log as l (id, operation, actor, filter, matched, changed, skipped, batches, answer)
    values (coalesce((log_operation.action ->> 'id')::uuid, cogo_internal.time_ordered_id()), log_operation.operation,
            left(coalesce(log_operation.action ->> 'actor', session_user), 200), jsonb_strip_nulls(log_operation.filter),
            (log_operation.answer ->> 'matched')::integer, (log_operation.answer ->> 'changed')::integer,
            (log_operation.answer ->> 'skipped')::integer,
            coalesce((log_operation.action ->> 'batch')::integer, 0) + 1, log_operation.answer)
    on conflict (id) do update set
        matched = l.matched + excluded.matched, changed = l.changed + excluded.changed,
        skipped = l.skipped + excluded.skipped, batches = excluded.batches, answer = excluded.answer,
        updated_at = clock_timestamp()
    where l.operation = excluded.operation;
    if not found then
        perform cogo_internal.invalid_argument('This action id belongs to another operation: use a new uuid for each action.');
    end if;
    return log_operation.answer;
end $$;

comment on function cogo_internal.log_operation is 'Record a batch of an operator''s action.';
