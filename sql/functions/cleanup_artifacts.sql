/*
 * Expire artifacts whose retention period has passed: at `expires_at` if they have one, else `older_than_days` after their
 * creation. Artifacts of a running attempt are kept.
 *
 * delete_objects   true: the row becomes `orphaned`, and the sweeper deletes the object, then the row;
 *                  false: it becomes `expired`, and the object stays
 * items            only these, which must still match: see bulk_arguments
 * after            {"at", "id"} of the last item of the previous page, for the next page of a dry run
 * action           the operator's action and its batch: see repeated_batch
 *
 * Oldest first. Returns {"items", "matched", "changed", "skipped", "more", "after"}; call again while `more`.
 * An item is {"id", "version", "job_id", "name", "size_bytes", "storage_key", "created_at"}; listed by dry runs only.
 * Errors: CQ005.
 */
create or replace function public.cleanup_artifacts(
    older_than_days double precision default 30, delete_objects boolean default true, items jsonb default null,
    dry_run boolean default false, after jsonb default null, batch_size integer default 500, action jsonb default null
) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    cutoff timestamptz;
    named constant uuid[] := cogo_internal.bulk_arguments(null, cleanup_artifacts.items, cleanup_artifacts.batch_size);
    result jsonb;
    listed jsonb;
    candidates uuid[];
    changed integer;
begin
    if cleanup_artifacts.older_than_days is null or cleanup_artifacts.older_than_days not between 0 and 36500 then
        perform cogo_internal.invalid_argument('older_than_days must be 0 to 36500.');
    end if;
    cutoff := at - make_interval(secs => cleanup_artifacts.older_than_days * 86400);
    if not cleanup_artifacts.dry_run then
        result := cogo_internal.repeated_batch(cleanup_artifacts.action);
        if result is not null then
            return result;
        end if;
    end if;

    select coalesce(array_agg(f.id order by f.created_at, f.id), '{}'),
        coalesce(jsonb_agg(jsonb_build_object(
            'id', f.id, 'version', f.version, 'job_id', f.job_id, 'name', f.name, 'size_bytes', f.size_bytes,
            'storage_key', f.storage_key, 'created_at', f.created_at) order by f.created_at, f.id)
            filter (where cleanup_artifacts.dry_run), '[]')
    into candidates, listed
    from (
        select a.*, a.xmin::text as version from public.artifacts a
        where a.status = 'ready' and coalesce(a.expires_at, a.created_at) <= case when a.expires_at is null then cutoff else at end
          and (named is null or a.id = any (named))
          and (cleanup_artifacts.after is null or a.created_at >= (cleanup_artifacts.after ->> 'at')::timestamptz
               and (a.created_at, a.id) > ((cleanup_artifacts.after ->> 'at')::timestamptz, (cleanup_artifacts.after ->> 'id')::uuid))
          and not exists (select from public.jobs j
                          where j.id = a.job_id and j.lease_token = a.lease_token and j.status = 'running')
        order by a.created_at, a.id
        limit greatest(cleanup_artifacts.batch_size, cardinality(named))
    ) f;

    if cleanup_artifacts.dry_run then
        return jsonb_build_object(
            'items', listed, 'matched', cardinality(candidates), 'changed', 0, 'skipped', 0,
            'more', cardinality(candidates) >= cleanup_artifacts.batch_size,
            'after', (select jsonb_build_object('at', last ->> 'created_at', 'id', last ->> 'id')
                      from (select listed -> -1) as page (last) where last is not null));
    end if;

    with taken as materialized (
        select a.id from public.artifacts a
        where a.id = any (candidates) and a.status = 'ready'
          -- A report that was created again since it was selected has a later creation time.
          and coalesce(a.expires_at, a.created_at) <= case when a.expires_at is null then cutoff else at end
          and (cleanup_artifacts.items is null or exists (
              select from jsonb_to_recordset(cleanup_artifacts.items) as i (id uuid, version text)
              where i.id = a.id and (i.version is null or i.version = a.xmin::text)))
        order by a.id for update skip locked
    )
    update public.artifacts a set status = case when cleanup_artifacts.delete_objects then 'orphaned' else 'expired' end
    from taken where a.id = taken.id;
    get diagnostics changed = row_count;

    return cogo_internal.log_operation(
        cleanup_artifacts.action, 'cleanup_artifacts',
        jsonb_build_object('older_than_days', cleanup_artifacts.older_than_days, 'delete_objects', cleanup_artifacts.delete_objects,
                           'planned', case when cleanup_artifacts.items is not null then true end),
        cogo_internal.bulk_result(named, candidates, changed, cleanup_artifacts.batch_size));
end $$;

comment on function public.cleanup_artifacts is 'Expire artifacts whose retention period has passed.';
