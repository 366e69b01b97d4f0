/*
 * Open dead-lettered jobs grouped by the cause of their error, the most frequent first.
 *
 * Returns [{"fingerprint", "type", "class", "message" of the newest, "count", "first_failed_at" (including failures
 * that were retried since, while the alert of the cause fires), "last_failed_at", "code_versions" and "job_ids" of the
 * newest ten}]. The count reads only the index jobs_dlq_cause (by default the planner read every row), the details ten
 * rows per cause.
 */
create or replace function public.list_incidents(
    type_prefix text default null, since_seconds double precision default null, max_incidents integer default 50
) returns jsonb
language plpgsql stable
set search_path = '' set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
    at timestamptz := clock_timestamp();
    result jsonb;
begin
    select jsonb_agg(to_jsonb(incident) || newest.facts order by incident.count desc, incident.last_failed_at desc) into result
    from (
        select d.fingerprint, count(*) as count, min(d.failed_at) as first_failed_at, max(d.failed_at) as last_failed_at
        from public.jobs_dlq d
        where not d.superseded and d.closed_at is null and d.replayed_at is null
          and (list_incidents.type_prefix is null or starts_with(d.type, list_incidents.type_prefix))
          and (list_incidents.since_seconds is null or d.failed_at >= at - make_interval(secs => list_incidents.since_seconds))
        group by d.fingerprint
        order by count(*) desc, max(d.failed_at) desc
        limit least(list_incidents.max_incidents, 1000)
    ) incident
    cross join lateral (
        select jsonb_build_object(
            'first_failed_at', case when list_incidents.since_seconds is null then least(incident.first_failed_at, (
                select a.first_seen_at from public.alerts a
                where a.fingerprint = incident.fingerprint and a.status = 'firing' and a.kind = 'job_failed'))
                else incident.first_failed_at end,
            'type', (array_agg(l.type order by l.failed_at desc))[1],
            'class', (array_agg(l.error ->> 'class' order by l.failed_at desc))[1],
            'message', (array_agg(l.error ->> 'message' order by l.failed_at desc))[1],
            'code_versions', coalesce(jsonb_agg(distinct l.code_version) filter (where l.code_version is not null), '[]'),
            'job_ids', jsonb_agg(l.job_id order by l.failed_at desc)) as facts
        from (
            select d.* from public.jobs_dlq d
            where d.fingerprint = incident.fingerprint and not d.superseded and d.closed_at is null and d.replayed_at is null
              and (list_incidents.type_prefix is null or starts_with(d.type, list_incidents.type_prefix))
            order by d.failed_at desc limit 10
        ) l
    ) newest;
    return coalesce(result, '[]');
end $$;

comment on function public.list_incidents is 'Open dead-lettered jobs, grouped by the cause of their error.';
