/*
 * Record an action that no other function records: one row of operations_log.
 *
 * note_id     A new uuid; a repeated call with it changes nothing
 * operation   "notify_weekly"
 * filter      What the action applied to
 *
 * Returns {"noted"}: false if the action was recorded before. Errors: CQ005.
 */
create or replace function public.note_operation(note_id uuid, operation text, actor text, filter jsonb default '{}') returns jsonb
language plpgsql set search_path = '' as $$
begin
    if coalesce(note_operation.operation, '') !~ '^[a-z][a-z0-9_]{0,60}$' or coalesce(note_operation.actor, '') = '' then
        perform cogo_internal.invalid_argument('operation must be a lower-case word, and actor must not be empty.');
    end if;
    if octet_length(cogo_internal.checked_json(note_operation.filter, 'filter')::text) > 100000 then
        perform cogo_internal.invalid_argument('filter must have at most 100,000 bytes.');
    end if;
    insert into public.operations_log (id, operation, actor, filter, matched, changed, skipped, batches)
    values (note_operation.note_id, note_operation.operation, left(note_operation.actor, 200), coalesce(note_operation.filter, '{}'), 1, 1, 0, 1)
    on conflict (id) do nothing;
    return jsonb_build_object('noted', found);
end $$;

comment on function public.note_operation is 'Record an action in the operations log.';
