/*
 * Store a bulk action with the jobs that it will change. Repeat the call with further items of the same action; a repeated
 * item changes nothing; the name and the arguments of the last call are kept.
 *
 * action_id   a new uuid
 * operation   retry, replay, discard or cancel
 * items       [{"id", "version" or null}, …]: up to 1,000 jobs, as select_for_action lists the eligible ones
 * name        for the log, at most 200 characters
 * query       the search in the filter language, for the log
 * arguments   {"reset_attempts": true} of a retry, {"code_version"} of a replay, {"reason"} of a discard
 * summary     the counts of the preview
 *
 * Returns the action: see bulk_action_row. Errors: CQ003 the action was started, CQ005.
 */
create or replace function public.plan_bulk_action(
    action_id uuid, operation text, items jsonb, actor text, name text default '', query text default '',
    arguments jsonb default '{}', summary jsonb default '{}'
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    max_jobs constant integer := 100000;
    action public.bulk_actions;
    added integer;
begin
    if plan_bulk_action.action_id is null or coalesce(plan_bulk_action.operation, '') not in ('retry', 'replay', 'discard', 'cancel') then
        perform cogo_internal.invalid_argument('action_id must be a uuid, and operation retry, replay, discard or cancel.');
    end if;
    perform cogo_internal.bulk_arguments(null, plan_bulk_action.items, 1);
    if length(plan_bulk_action.name) > 200 or length(plan_bulk_action.query) > 2000 then
        perform cogo_internal.invalid_argument('name must have at most 200 characters, and query at most 2,000.');
    end if;
    if octet_length(cogo_internal.checked_json(plan_bulk_action.arguments, 'arguments')::text) > 10000
       or octet_length(cogo_internal.checked_json(plan_bulk_action.summary, 'summary')::text) > 100000 then
        perform cogo_internal.invalid_argument('arguments must have at most 10,000 bytes, and summary at most 100,000.');
    end if;
    insert into public.bulk_actions (id, operation, name, query, arguments, summary, actor)
    values (plan_bulk_action.action_id, plan_bulk_action.operation, coalesce(plan_bulk_action.name, ''),
            coalesce(plan_bulk_action.query, ''), coalesce(plan_bulk_action.arguments, '{}'), coalesce(plan_bulk_action.summary, '{}'),
            left(coalesce(plan_bulk_action.actor, session_user), 200))
    on conflict (id) do update set name = excluded.name, arguments = excluded.arguments where bulk_actions.started_at is null;
    select * into action from public.bulk_actions b where b.id = plan_bulk_action.action_id for update;
    if action.started_at is not null then
        raise exception using errcode = 'CQ003', message = format('Action %s was started: its jobs cannot be changed.', action.id);
    end if;
    insert into public.bulk_action_jobs (action_id, job_id, version)
    select distinct on (i.id) action.id, i.id, i.version
    from jsonb_to_recordset(coalesce(plan_bulk_action.items, '[]')) as i (id uuid, version text)
    order by i.id
    on conflict do nothing;
    get diagnostics added = row_count;
    if action.planned + added > max_jobs then
        perform cogo_internal.invalid_argument('An action changes at most 100,000 jobs: narrow the search.');
    end if;
    update public.bulk_actions b set planned = b.planned + added where b.id = action.id returning b.* into action;
    return cogo_internal.bulk_action_row(action);
end $$;

comment on function public.plan_bulk_action is 'Store a bulk action with the jobs that it will change.';
