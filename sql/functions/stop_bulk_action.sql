/*
 * Stop a bulk action after the batch that runs; run_bulk_action continues it.
 *
 * Returns the action: see bulk_action_row. Errors: CQ001 there is no such action.
 */
create or replace function public.stop_bulk_action(action_id uuid) returns jsonb
language plpgsql set search_path = '' as $$
declare
    action public.bulk_actions;
begin
    update public.bulk_actions b set stopped_at = case when b.finished_at is null then clock_timestamp() end
    where b.id = stop_bulk_action.action_id returning b.* into action;
    if not found then
        raise exception using errcode = 'CQ001',
            message = format('There is no bulk action %s: list them with `cogo list actions`.', stop_bulk_action.action_id);
    end if;
    return cogo_internal.bulk_action_row(action);
end $$;

comment on function public.stop_bulk_action is 'Stop a bulk action after the batch that runs.';
