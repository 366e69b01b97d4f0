/*
 * Enqueue dead-lettered jobs again, each as a new job with the idempotency key dlq:<job_id> and the settings of the old
 * one. A job is replayed only once, even by different callers and after a purge; a replay that fails is dead-lettered
 * itself.
 *
 * type_prefix, executor_id, since_seconds, fingerprint   as in list_dlq
 * job_ids, items   only these: see bulk_arguments
 * code_version     the caller's; items report in `same_code_version` whether the job failed on the same version
 * dry_run          write nothing
 * after            {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action           the operator's action and its batch: see repeated_batch
 *
 * If another job with another payload or executor id holds the key, the dead-lettered job stays open and is skipped: that
 * job is not its replay. `skipped_items` of the first batch or page names up to 100 of them, among the oldest 10,000.
 *
 * Oldest failure first. Returns {"items", "matched", "changed", "skipped", "skipped_items": [{"id", "reason": "key_taken",
 * "held_by": job id}], "same_code_version", "more", "after"}; call again while `more`. An item is {"id", "version",
 * "type", "executor_id", "idempotency_key", "reason", "error", "failed_at", "replays", "same_code_version"}, and {"id",
 * "job_id" of the new job} once it is replayed.
 * Errors: CQ001 a named job is not dead-lettered, CQ003 it was replayed or retried since, CQ005.
 */
create or replace function public.replay_dlq(
    type_prefix text default null, executor_id text default null, since_seconds double precision default null,
    fingerprint text default null, job_ids jsonb default null, items jsonb default null, code_version text default null,
    dry_run boolean default false, after jsonb default null, batch_size integer default 500, action jsonb default null
) returns jsonb
language plpgsql
set search_path = '' set plan_cache_mode = force_custom_plan set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    named constant uuid[] := cogo_internal.bulk_arguments(replay_dlq.job_ids, replay_dlq.items, replay_dlq.batch_size);
    result jsonb;
    listed jsonb;
    same_code_version bigint;
    candidates uuid[];
    taken uuid[];
    new_ids uuid[];
    skipped_items jsonb := '[]';
begin
    if not replay_dlq.dry_run then
        result := cogo_internal.repeated_batch(replay_dlq.action);
        if result is not null then
            return result;
        end if;
    end if;
    if replay_dlq.job_ids is not null then
        perform cogo_internal.check_replayable(named);
    end if;

    select coalesce(array_agg(f.job_id order by f.failed_at, f.job_id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object(
            'id', f.job_id, 'version', f.version, 'type', f.type, 'executor_id', f.executor_id,
            'idempotency_key', 'dlq:' || f.job_id, 'reason', f.reason, 'error', f.error, 'failed_at', f.failed_at,
            'replays', cogo_internal.replay_count(f.job_id), 'same_code_version', f.same_code_version)
            order by f.failed_at, f.job_id), '[]'),
        count(*) filter (where f.same_code_version)
    into candidates, listed, same_code_version
    from (
        select d.*, d.xmin::text as version, coalesce(d.code_version = replay_dlq.code_version, false) as same_code_version
        from public.jobs_dlq d
        where not d.superseded and d.closed_at is null and d.replayed_at is null and d.type is not null
          and (named is null or d.job_id = any (named))
          and (replay_dlq.type_prefix is null or starts_with(d.type, replay_dlq.type_prefix))
          and (replay_dlq.executor_id is null or d.executor_id = replay_dlq.executor_id)
          and (replay_dlq.since_seconds is null or d.failed_at >= at - make_interval(secs => replay_dlq.since_seconds))
          and (replay_dlq.fingerprint is null or d.fingerprint = replay_dlq.fingerprint)
          and not exists (select from public.jobs j
                          where j.type = d.type and j.idempotency_key = 'dlq:' || d.job_id and cogo_internal.replay_key_holder(d) = j.id)
          and (replay_dlq.after is null or d.failed_at >= (replay_dlq.after ->> 'at')::timestamptz
               and (d.failed_at, d.job_id) > ((replay_dlq.after ->> 'at')::timestamptz, (replay_dlq.after ->> 'id')::uuid))
        order by d.failed_at, d.job_id
        limit greatest(replay_dlq.batch_size, cardinality(named))
    ) f;

    if replay_dlq.after is null and coalesce((replay_dlq.action ->> 'batch')::integer, 0) = 0 then
        select coalesce(jsonb_agg(jsonb_build_object('id', f.job_id, 'reason', 'key_taken', 'held_by', f.held_by)
                                  order by f.failed_at, f.job_id), '[]')
        into skipped_items
        from (
            select (oldest.entry).job_id, (oldest.entry).failed_at, j.id as held_by
            from (
                select d as entry from public.jobs_dlq d
                where not d.superseded and d.closed_at is null and d.replayed_at is null and d.type is not null
                  and (named is null or d.job_id = any (named))
                  and (replay_dlq.type_prefix is null or starts_with(d.type, replay_dlq.type_prefix))
                  and (replay_dlq.executor_id is null or d.executor_id = replay_dlq.executor_id)
                  and (replay_dlq.since_seconds is null or d.failed_at >= at - make_interval(secs => replay_dlq.since_seconds))
                  and (replay_dlq.fingerprint is null or d.fingerprint = replay_dlq.fingerprint)
                order by d.failed_at, d.job_id
                limit 10000
            ) oldest
            join public.jobs j on j.type = (oldest.entry).type and j.idempotency_key = 'dlq:' || (oldest.entry).job_id
            where cogo_internal.replay_key_holder(oldest.entry) = j.id
            order by 2, 1
            limit 100
        ) f;
    end if;

    if replay_dlq.dry_run then
        return jsonb_build_object(
            'skipped_items', skipped_items, 'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'same_code_version', same_code_version, 'more', cardinality(candidates) >= replay_dlq.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'failed_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    -- `skip locked`: rows that another session holds are being replayed or retried.
    taken := array(
        select d.job_id from public.jobs_dlq d
        where d.job_id = any (candidates) and not d.superseded and d.closed_at is null and d.replayed_at is null
          and (replay_dlq.items is null or exists (
              select from jsonb_to_recordset(replay_dlq.items) as i (id uuid, version text)
              where i.id = d.job_id and (i.version is null or i.version = d.xmin::text)))
        order by d.job_id for update skip locked);

    -- The ids follow the order of the failures; the rows are added in the order of their keys, as in enqueue_jobs.
    new_ids := cogo_internal.derived_ids(cogo_internal.time_ordered_id(), cardinality(taken));
    insert into public.jobs (id, type, payload, executor_id, priority, max_attempts, timeout_seconds, idempotency_key,
                             created_at, next_run_at)
    select new_ids[f.place], f.type, coalesce(f.payload, '{}'), f.executor_id, least(greatest(coalesce(f.priority, 5), 0), 9),
           greatest(coalesce(f.max_attempts, 5), 1), case when f.timeout_seconds > 0 then least(f.timeout_seconds, 86400) end,
           f.key, at, at - (cardinality(taken) - f.place) * interval '1 microsecond'
    from (select d.*, 'dlq:' || d.job_id as key, row_number() over (order by d.failed_at, d.job_id) as place
          from public.jobs_dlq d where d.job_id = any (taken) and not d.superseded) f
    order by f.type, f.key
    on conflict (type, idempotency_key) where idempotency_key is not null do nothing;

    -- A key that the same work holds was taken by a replay of an older release: that job is the replay.
    -- A key that was taken for other work since leaves the job open: this statement sees it.
    with replayed as (
        update public.jobs_dlq d set replayed_at = at, replayed_job_id = j.id
        from public.jobs j
        where d.job_id = any (taken) and not d.superseded and j.type = d.type and j.idempotency_key = 'dlq:' || d.job_id
          and cogo_internal.replay_key_holder(d) is null
        returning d.job_id, d.failed_at, d.replayed_job_id
    )
    select coalesce(jsonb_agg(jsonb_build_object('id', r.job_id, 'job_id', r.replayed_job_id)
                              order by r.failed_at, r.job_id), '[]')
    into listed from replayed r;

    if cardinality(taken) > 0 then
        perform cogo_internal.wake_workers();
    end if;
    return cogo_internal.log_operation(
        replay_dlq.action, 'replay_dlq',
        jsonb_build_object('type_prefix', replay_dlq.type_prefix, 'executor_id', replay_dlq.executor_id,
                           'since_seconds', replay_dlq.since_seconds, 'fingerprint', replay_dlq.fingerprint,
                           'job_ids', replay_dlq.job_ids, 'planned', case when replay_dlq.items is not null then true end),
        cogo_internal.bulk_result(named, candidates, jsonb_array_length(listed), replay_dlq.batch_size)
            || jsonb_build_object('items', listed, 'skipped_items', skipped_items, 'same_code_version', same_code_version)
            || case when named is null and skipped_items <> '[]' then jsonb_build_object(
                'matched', cardinality(candidates) + jsonb_array_length(skipped_items),
                'skipped', cardinality(candidates) - jsonb_array_length(listed) + jsonb_array_length(skipped_items)) else '{}' end);
end $$;

comment on function public.replay_dlq is 'Enqueue dead-lettered jobs again, each once, as a new job.';
