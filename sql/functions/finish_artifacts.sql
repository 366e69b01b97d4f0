/*
 * Mark uploaded and verified files as ready: pending -> ready. Fenced; safe to repeat.
 * Returns {"changed"}. Errors: CQ002 lease lost.
 */
create or replace function public.finish_artifacts(job_id uuid, lease_token uuid, artifact_ids jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    changed integer;
begin
    perform pg_advisory_xact_lock(hashtextextended(
        'cogo artifacts ' || finish_artifacts.job_id || ' ' || finish_artifacts.lease_token, 0));
    -- The lock keeps the job from being recovered between the check and the commit.
    perform from public.jobs j
    where j.id = finish_artifacts.job_id and j.lease_token = finish_artifacts.lease_token and j.status = 'running'
    for share;
    if not found then
        raise exception using errcode = 'CQ002',
            message = format('The lease on job %s is lost: its artifacts are not accepted.', finish_artifacts.job_id);
    end if;

    with uploaded as materialized (
        select a.id from public.artifacts a
        where a.job_id = finish_artifacts.job_id and a.lease_token = finish_artifacts.lease_token
          and a.status in ('pending', 'ready')
          and a.id in (select requested.id::uuid from jsonb_array_elements_text(finish_artifacts.artifact_ids) as requested (id))
        order by a.id for update of a
    )
    update public.artifacts a set status = 'ready', ready_at = clock_timestamp() from uploaded where a.id = uploaded.id;
    get diagnostics changed = row_count;
    return jsonb_build_object('changed', changed);
end $$;

comment on function public.finish_artifacts is 'Mark uploaded and verified files as ready.';
