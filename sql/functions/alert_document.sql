/*
 * An alert as lists and messages show it. `refs` includes the newest artifact of the job, the trace or else the evidence
 * of its newest attempt with its name, and the Dagster run of its worker, if there are any.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.alert_document(alert public.alerts) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', alert.id, 'fingerprint', alert.fingerprint, 'kind', alert.kind, 'subject', alert.subject,
        'status', alert.status, 'title', alert.title, 'error_class', alert.error_class, 'error_message', alert.error_message,
        'count', alert.count, 'first_seen_at', alert.first_seen_at, 'last_seen_at', alert.last_seen_at,
        'resolved_at', alert.resolved_at, 'resolution', alert.resolution, 'key', alert.key, 'body', alert.body,
        'refs', jsonb_strip_nulls(jsonb_build_object(
            'artifact_id', (select x.id from public.artifacts x
                            where x.job_id = job.id and x.status = 'ready'
                            order by x.name = 'trace.zip', x.name = 'evidence.json', x.created_at desc limit 1),
            'run_id', (select w.dagster_run_id from public.jobs j join public.workers w on w.instance_id = j.instance_id
                       where j.id = job.id)))
            || coalesce((select jsonb_build_object('evidence_id', x.id, 'evidence', x.name) from public.artifacts x
                         where x.job_id = job.id and x.status = 'ready' and x.name in ('trace.zip', 'evidence.json')
                         order by x.attempt desc nulls last, x.name = 'trace.zip' desc limit 1), '{}')
            || case when jsonb_typeof(alert.refs) = 'object' then alert.refs else '{}' end)
    from (select case when alert.refs ->> 'job_id' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                      then (alert.refs ->> 'job_id')::uuid end as id) job
$$;

comment on function cogo_internal.alert_document is 'The document a list returns for one alert.';
