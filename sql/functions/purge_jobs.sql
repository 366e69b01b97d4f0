/*
 * Delete finished jobs with their attempts. A dry run by default, which writes nothing. Queued and running jobs are never
 * deleted, rows of the dead-letter queue stay, and artifacts have a retention period of their own.
 *
 * older_than_days   finished at least this long ago
 * statuses          ["succeeded", "cancelled"], and "failed"
 * items             only these, which must still match: see bulk_arguments
 * after             {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action            the operator's action and its batch: see repeated_batch
 *
 * Oldest first. Returns {"items", "matched", "changed", "skipped", "more", "after"}; call again while `more`.
 * An item is {"id", "version", "type", "status", "attempts", "finished_at"}; listed by dry runs only. Errors: CQ005.
 */
create or replace function public.purge_jobs(
    older_than_days double precision default 30, statuses jsonb default '["succeeded", "cancelled"]', items jsonb default null,
    dry_run boolean default true, after jsonb default null, batch_size integer default 1000, action jsonb default null
) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    cutoff timestamptz;
    named constant uuid[] := cogo_internal.bulk_arguments(null, purge_jobs.items, purge_jobs.batch_size);
    wanted text[];
    result jsonb;
    listed jsonb;
    candidates uuid[];
    taken uuid[];
    size constant integer := greatest(purge_jobs.batch_size, cardinality(named));
    page_at constant timestamptz := coalesce((purge_jobs.after ->> 'at')::timestamptz, '-infinity');
    page_id constant uuid := coalesce((purge_jobs.after ->> 'id')::uuid, '00000000-0000-0000-0000-000000000000');
begin
    if purge_jobs.older_than_days is null or purge_jobs.older_than_days not between 0 and 36500 then
        perform cogo_internal.invalid_argument('older_than_days must be 0 to 36500.');
    end if;
    if jsonb_typeof(purge_jobs.statuses) is distinct from 'array' or jsonb_array_length(purge_jobs.statuses) = 0
       or not purge_jobs.statuses <@ '["succeeded", "cancelled", "failed"]' then
        perform cogo_internal.invalid_argument(format(
            'Only finished jobs can be purged: statuses must be some of succeeded, cancelled and failed, not %s.',
            purge_jobs.statuses));
    end if;
    cutoff := clock_timestamp() - make_interval(secs => purge_jobs.older_than_days * 86400);
    wanted := array(select distinct jsonb_array_elements_text(purge_jobs.statuses));
    if not purge_jobs.dry_run then
        result := cogo_internal.repeated_batch(purge_jobs.action);
        if result is not null then
            return result;
        end if;
    end if;

    -- One status at a time, in the order of its index; together, all of them would be sorted each time.
    select coalesce(array_agg(f.id order by f.finished_at, f.id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object(
            'id', f.id, 'version', f.version, 'type', f.type, 'status', f.status, 'attempts', f.attempts,
            'finished_at', f.finished_at) order by f.finished_at, f.id) filter (where purge_jobs.dry_run), '[]')
    into candidates, listed
    from (
        select ended.* from (
            (select j.id, j.type, j.status, j.attempts, j.finished_at, j.xmin::text as version from public.jobs j
             where j.status = 'succeeded' and 'succeeded' = any (wanted) and j.finished_at <= cutoff
               and (named is null or j.id = any (named))
               and (j.finished_at, j.id) > (page_at, page_id)
             order by j.finished_at, j.id
             limit size)
            union all
            select unsuccessful.* from unnest(wanted) as w (status)
            cross join lateral (
                select j.id, j.type, j.status, j.attempts, j.finished_at, j.xmin::text as version from public.jobs j
                where j.status = w.status and j.finished_at <= cutoff
                  and j.status in ('failed', 'cancelled')  -- indicates to the planner that the partial index applies
                  and (named is null or j.id = any (named))
                  and (j.finished_at, j.id) > (page_at, page_id)
                order by j.finished_at, j.id
                limit size
            ) unsuccessful
        ) ended
        order by ended.finished_at, ended.id
        limit size
    ) f;

    if purge_jobs.dry_run then
        return jsonb_build_object(
            'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'more', cardinality(candidates) >= purge_jobs.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'finished_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    taken := array(
        select j.id from public.jobs j
        where j.id = any (candidates) and j.status = any (wanted) and j.finished_at <= cutoff
          and (purge_jobs.items is null or exists (
              select from jsonb_to_recordset(purge_jobs.items) as i (id uuid, version text)
              where i.id = j.id and (i.version is null or i.version = j.xmin::text)))
        order by j.id for update skip locked);
    delete from public.job_attempts a where a.job_id = any (taken);
    delete from public.jobs j where j.id = any (taken);

    return cogo_internal.log_operation(
        purge_jobs.action, 'purge_jobs',
        jsonb_build_object('older_than_days', purge_jobs.older_than_days, 'statuses', purge_jobs.statuses,
                           'planned', case when purge_jobs.items is not null then true end),
        cogo_internal.bulk_result(named, candidates, cardinality(taken), purge_jobs.batch_size));
end $$;

comment on function public.purge_jobs is 'Delete old finished jobs; a dry run by default.';
