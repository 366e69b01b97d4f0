/*
 * Close dead-lettered jobs without a replay, with a reason. A dry run by default, which writes nothing. undo_discard opens
 * them again. A discarded job can still be retried by its id.
 *
 * type_prefix, executor_id, since_seconds, fingerprint   as in list_dlq
 * job_ids, items   only these: see bulk_arguments
 * reason           why, 1 to 500 characters; a dry run needs none
 * after            {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action           the operator's action and its batch: see repeated_batch; its id is the discard's
 *
 * Oldest failure first. Returns {"items", "matched", "changed", "skipped", "more", "after"}; call again while `more`.
 * An item is {"id", "version", "type", "executor_id", "reason", "error", "failed_at", "replays"}. Items are listed by dry
 * runs only.
 * Errors: CQ001 a named job is not dead-lettered, CQ003 it was replayed, retried or discarded since, CQ005.
 */
create or replace function public.discard_dlq(
    type_prefix text default null, executor_id text default null, since_seconds double precision default null,
    fingerprint text default null, job_ids jsonb default null, items jsonb default null, reason text default null,
    dry_run boolean default true, after jsonb default null, batch_size integer default 500, action jsonb default null
) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    named constant uuid[] := cogo_internal.bulk_arguments(discard_dlq.job_ids, discard_dlq.items, discard_dlq.batch_size);
    chosen_action constant jsonb := coalesce(discard_dlq.action, jsonb_build_object('id', cogo_internal.time_ordered_id()));
    result jsonb;
    listed jsonb;
    candidates uuid[];
    changed integer;
begin
    if not discard_dlq.dry_run then
        result := cogo_internal.repeated_batch(chosen_action);
        if result is not null then
            return result;
        end if;
        if length(btrim(coalesce(discard_dlq.reason, ''))) not between 1 and 500 then
            perform cogo_internal.invalid_argument('reason must have 1 to 500 characters.');
        end if;
    end if;
    if discard_dlq.job_ids is not null then
        perform cogo_internal.check_replayable(named, 'discarded');
    end if;

    select coalesce(array_agg(f.job_id order by f.failed_at, f.job_id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object(
            'id', f.job_id, 'version', f.version, 'type', f.type, 'executor_id', f.executor_id, 'reason', f.reason,
            'error', f.error, 'failed_at', f.failed_at, 'replays', cogo_internal.replay_count(f.job_id))
            order by f.failed_at, f.job_id), '[]')
    into candidates, listed
    from (
        select d.*, d.xmin::text as version from public.jobs_dlq d
        where not d.superseded and d.closed_at is null and d.replayed_at is null
          and (named is null or d.job_id = any (named))
          and (discard_dlq.type_prefix is null or starts_with(d.type, discard_dlq.type_prefix))
          and (discard_dlq.executor_id is null or d.executor_id = discard_dlq.executor_id)
          and (discard_dlq.since_seconds is null or d.failed_at >= at - make_interval(secs => discard_dlq.since_seconds))
          and (discard_dlq.fingerprint is null or d.fingerprint = discard_dlq.fingerprint)
          and (discard_dlq.after is null or d.failed_at >= (discard_dlq.after ->> 'at')::timestamptz
               and (d.failed_at, d.job_id) > ((discard_dlq.after ->> 'at')::timestamptz, (discard_dlq.after ->> 'id')::uuid))
        order by d.failed_at, d.job_id
        limit greatest(discard_dlq.batch_size, cardinality(named))
    ) f;

    if discard_dlq.dry_run then
        return jsonb_build_object(
            'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'more', cardinality(candidates) >= discard_dlq.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'failed_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    -- `skip locked`: rows that another session holds are being replayed or retried.
    update public.jobs_dlq d set
        closed_at = at, discarded_at = at, discard_reason = btrim(discard_dlq.reason), discard_id = (chosen_action ->> 'id')::uuid
    from (select o.job_id from public.jobs_dlq o
          where o.job_id = any (candidates) and not o.superseded and o.closed_at is null and o.replayed_at is null
            and (discard_dlq.items is null or exists (
                select from jsonb_to_recordset(discard_dlq.items) as i (id uuid, version text)
                where i.id = o.job_id and (i.version is null or i.version = o.xmin::text)))
          order by o.job_id for update skip locked) taken
    where d.job_id = taken.job_id and not d.superseded;
    get diagnostics changed = row_count;
    return cogo_internal.log_operation(
        chosen_action, 'discard_dlq',
        jsonb_build_object('type_prefix', discard_dlq.type_prefix, 'executor_id', discard_dlq.executor_id,
                           'since_seconds', discard_dlq.since_seconds, 'fingerprint', discard_dlq.fingerprint,
                           'job_ids', discard_dlq.job_ids, 'planned', case when discard_dlq.items is not null then true end,
                           'reason', btrim(discard_dlq.reason)),
        cogo_internal.bulk_result(named, candidates, changed, discard_dlq.batch_size));
end $$;

comment on function public.discard_dlq is 'Close dead-lettered jobs without a replay; a dry run by default.';
