/*
 * Change the next batch of a bulk action's jobs; jobs that changed since they were chosen, or are being changed, are
 * skipped. All batches are one row of operations_log, with the action's id. Safe to repeat.
 *
 * actor        who runs it, for the log
 * batch_size   1 to 1,000
 * continues    continue a stopped action; otherwise nothing is done for it
 *
 * Returns the action and "more": see bulk_action_row. Call again while `more`.
 * Errors: CQ001 there is no such action, CQ005.
 */
create or replace function public.run_bulk_action(action_id uuid, actor text, batch_size integer default 500, continues boolean default false)
returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at constant timestamptz := clock_timestamp();
    action public.bulk_actions;
    items jsonb;
    chosen uuid[];
    altered uuid[];
    request jsonb;
    more boolean;
begin
    perform cogo_internal.bulk_arguments(null, null, run_bulk_action.batch_size);
    select * into action from public.bulk_actions b where b.id = run_bulk_action.action_id for update;
    if not found then
        raise exception using errcode = 'CQ001',
            message = format('There is no bulk action %s: list them with `cogo list actions`.', run_bulk_action.action_id);
    end if;
    if action.stopped_at is not null and not run_bulk_action.continues then
        return cogo_internal.bulk_action_row(action) || '{"more": false}';
    end if;
    select jsonb_agg(jsonb_build_object('id', n.job_id, 'version', n.version)), array_agg(n.job_id order by n.job_id) into items, chosen
    from (select b.job_id, b.version from public.bulk_action_jobs b
          where b.action_id = action.id and b.outcome is null
          order by b.job_id limit run_bulk_action.batch_size) n;
    if chosen is not null then
        request := jsonb_build_object('id', action.id, 'batch', action.batches, 'actor', run_bulk_action.actor);
        case action.operation
            when 'retry' then
                perform public.retry_failed(items => items, dry_run => false, action => request,
                    reset_attempts => coalesce((action.arguments ->> 'reset_attempts')::boolean, false));
                altered := array(select j.id from public.jobs j where j.id = any (chosen) and j.xmin = pg_current_xact_id()::xid);
            when 'replay' then
                perform public.replay_dlq(items => items, code_version => action.arguments ->> 'code_version', action => request);
            when 'discard' then
                perform public.discard_dlq(items => items, dry_run => false, reason => action.arguments ->> 'reason', action => request);
            when 'cancel' then
                altered := cogo_internal.cancel_jobs(chosen);
                perform cogo_internal.log_operation(request, 'cancel_jobs', '{}', jsonb_build_object(
                    'matched', cardinality(chosen), 'changed', cardinality(altered), 'skipped', cardinality(chosen) - cardinality(altered)));
        end case;
        altered := coalesce(altered, array(
            select d.job_id from public.jobs_dlq d
            where d.job_id = any (chosen) and not d.superseded and d.xmin = pg_current_xact_id()::xid));
        update public.bulk_action_jobs b set outcome = case when b.job_id = any (altered) then 'changed' else 'skipped' end,
            new_job_id = case when action.operation = 'replay' then (
                select d.replayed_job_id from public.jobs_dlq d where d.job_id = b.job_id and not d.superseded) end
        where b.action_id = action.id and b.job_id = any (chosen);
        update public.operations_log l set filter = jsonb_strip_nulls(jsonb_build_object(
            'name', nullif(action.name, ''), 'query', nullif(action.query, ''), 'action', action.id, 'reason', action.arguments ->> 'reason',
            'reset_attempts', action.arguments -> 'reset_attempts', 'ineligible', action.summary -> 'ineligible_count'))
        where l.id = action.id;
    end if;
    more := exists (select from public.bulk_action_jobs b where b.action_id = action.id and b.outcome is null);
    update public.bulk_actions b set
        started_at = coalesce(b.started_at, at), stopped_at = null,
        finished_at = case when more then null else coalesce(b.finished_at, at) end,
        batches = b.batches + case when chosen is null then 0 else 1 end,
        changed = b.changed + coalesce(cardinality(done.jobs), 0),
        skipped = b.skipped + coalesce(cardinality(chosen), 0) - coalesce(cardinality(done.jobs), 0)
    from (select altered) as done (jobs)
    where b.id = action.id returning b.* into action;
    return cogo_internal.bulk_action_row(action) || jsonb_build_object('more', more);
end $$;

comment on function public.run_bulk_action is 'Change the next batch of a bulk action''s jobs.';
