/*
 * Open the dead-lettered jobs of a discard again. Those that were retried since stay closed. Safe to repeat.
 *
 * discard_id   the id of the operation discard_dlq, as list_operations returns it
 * dry_run      write nothing
 * after        {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action       the operator's action and its batch: see repeated_batch
 *
 * Returns {"items", "matched", "changed", "skipped", "more", "after"}; call again while `more`. An item is {"id", "type",
 * "executor_id", "error", "failed_at"}. Items are listed by dry runs only.
 * Errors: CQ001 there is no such discard, CQ005.
 */
create or replace function public.undo_discard(
    discard_id uuid, dry_run boolean default false, after jsonb default null, batch_size integer default 500,
    action jsonb default null
) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    result jsonb;
    listed jsonb;
    candidates uuid[];
    changed integer;
begin
    perform cogo_internal.bulk_arguments(null, null, undo_discard.batch_size);
    if not exists (select from public.operations_log l where l.id = undo_discard.discard_id and l.operation = 'discard_dlq') then
        raise exception using errcode = 'CQ001',
            message = format('Operation %s is not a discard: list them with `cogo list operations`.', undo_discard.discard_id);
    end if;
    if not undo_discard.dry_run then
        result := cogo_internal.repeated_batch(undo_discard.action);
        if result is not null then
            return result;
        end if;
    end if;
    select coalesce(array_agg(f.job_id order by f.failed_at, f.job_id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object('id', f.job_id, 'type', f.type, 'executor_id', f.executor_id, 'error', f.error,
                                              'failed_at', f.failed_at) order by f.failed_at, f.job_id), '[]')
    into candidates, listed
    from (
        select d.* from public.jobs_dlq d
        where not d.superseded and d.discard_id = undo_discard.discard_id and d.closed_at = d.discarded_at
          and (undo_discard.after is null
               or (d.failed_at, d.job_id) > ((undo_discard.after ->> 'at')::timestamptz, (undo_discard.after ->> 'id')::uuid))
        order by d.failed_at, d.job_id
        limit undo_discard.batch_size
    ) f;
    if undo_discard.dry_run then
        return jsonb_build_object(
            'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'more', cardinality(candidates) >= undo_discard.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'failed_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    -- `skip locked`: rows that another session holds are being retried, or opened again.
    update public.jobs_dlq d set closed_at = null, discarded_at = null, discard_reason = null, discard_id = null
    from (select o.job_id from public.jobs_dlq o
          where o.job_id = any (candidates) and not o.superseded
            and o.discard_id = undo_discard.discard_id and o.closed_at = o.discarded_at
          order by o.job_id for update skip locked) taken
    where d.job_id = taken.job_id and not d.superseded;
    get diagnostics changed = row_count;
    return cogo_internal.log_operation(
        undo_discard.action, 'undo_discard', jsonb_build_object('discard_id', undo_discard.discard_id),
        cogo_internal.bulk_result(null, candidates, changed, undo_discard.batch_size));
end $$;

comment on function public.undo_discard is 'Open the dead-lettered jobs of a discard again.';
