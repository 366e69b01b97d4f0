/*
 * The open dead letters by the cause of their error, the most frequent first.
 *
 * Returns [{"fingerprint", "type", "class", "message" of the newest, "count", "first_failed_at", "last_failed_at",
 * "code_versions", "job_ids" of the newest ten}]. Of a longer queue, the newest 100,000 letters are read.
 */
create or replace function public.list_incidents(
    type_prefix text default null, since_seconds double precision default null, max_incidents integer default 50
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    at timestamptz := clock_timestamp();
    answer jsonb;
begin
    select jsonb_agg(to_jsonb(incident) order by incident.count desc, incident.last_failed_at desc) into answer
    from (
        select public.error_fingerprint(d.type, d.error) as fingerprint,
            (array_agg(d.type order by d.failed_at desc))[1] as type,
            (array_agg(d.error ->> 'class' order by d.failed_at desc))[1] as class,
            (array_agg(d.error ->> 'message' order by d.failed_at desc))[1] as message,
            count(*) as count, min(d.failed_at) as first_failed_at, max(d.failed_at) as last_failed_at,
            coalesce(jsonb_agg(distinct d.code_version) filter (where d.code_version is not null), '[]') as code_versions,
            to_jsonb((array_agg(d.job_id order by d.failed_at desc))[1:10]) as job_ids
        from (
            select * from public.jobs_dlq open_letter
            where not open_letter.superseded and open_letter.closed_at is null and open_letter.replayed_at is null
              and (list_incidents.type_prefix is null or starts_with(open_letter.type, list_incidents.type_prefix))
              and (list_incidents.since_seconds is null
                   or open_letter.failed_at >= at - make_interval(secs => list_incidents.since_seconds))
            order by open_letter.failed_at desc
            limit 100000
        ) d
        group by 1
        order by count(*) desc, max(d.failed_at) desc
        limit least(list_incidents.max_incidents, 1000)
    ) incident;
    return coalesce(answer, '[]');
end $$;

comment on function public.list_incidents is 'Open dead letters, grouped by the cause of their error.';
