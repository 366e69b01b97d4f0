/*
 * Jobs by id with all details: payload, result, attempts, artifacts, replays, and the "discard" {"id", "at", "reason"} of a
 * discarded job or null; unknown ids are left out. A payload or
 * result that exceeds the limits is returned as {"unreadable": why}: see readable_json.
 */
create or replace function public.get_jobs(job_ids jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.job_row(j) || jsonb_build_object(
        'payload', cogo_internal.readable_json(j.payload), 'result', cogo_internal.readable_json(j.result), 'snoozes', j.snoozes, 'lost_attempts', j.lost_attempts, 'timeout_seconds', j.timeout_seconds,
        'dagster_run_id', (select w.dagster_run_id from public.workers w where w.instance_id = j.instance_id),
        'superseded_attempts', (select coalesce(jsonb_agg(to_jsonb(a) - 'lease_token' order by a.finished_at), '[]')
                                from public.job_attempts a where a.job_id = j.id),
        'replay_of', (select d.job_id from public.jobs_dlq d where d.replayed_job_id = j.id),
        'replayed_job_id', (select d.replayed_job_id from public.jobs_dlq d where d.job_id = j.id and not d.superseded),
        'discard', (select jsonb_build_object('id', d.discard_id, 'at', d.discarded_at, 'reason', d.discard_reason)
                    from public.jobs_dlq d where d.job_id = j.id and not d.superseded and d.closed_at = d.discarded_at),
        'artifacts', (select coalesce(jsonb_agg(cogo_internal.artifact_row(a) order by a.name), '[]')
                      from public.artifacts a where a.job_id = j.id and a.status = 'ready')) order by requested.position), '[]')
    from jsonb_array_elements_text(get_jobs.job_ids) with ordinality as requested (id, position)
    join public.jobs j on j.id = requested.id::uuid
$$;

comment on function public.get_jobs is 'Jobs by id, with all details.';
