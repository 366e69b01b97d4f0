/*
 * The queries that find ids of jobs by an index for a filter of query_jobs; every match is among the ids of each.
 *
 * wanted   The statuses of the filter, given or implied; empty for all
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.search_sources(filter jsonb, wanted text[], at timestamptz) returns text[]
language sql stable set search_path = '' as $$
    select array_remove(array[
        case when search_sources.filter -> 'conditions' ? 'skipped' then
            format('select b.job_id from public.bulk_action_jobs b where b.action_id = %L and b.outcome = ''skipped''',
                   search_sources.filter ->> 'action_id') end,
        case when search_sources.filter ? 'action_id' then
            format('select b.job_id from public.bulk_action_jobs b where b.action_id = %1$L union all
                    select b.new_job_id from public.bulk_action_jobs b where b.action_id = %1$L and b.new_job_id is not null',
                   search_sources.filter ->> 'action_id') end,
        case when search_sources.filter ? 'ids' then (
            select string_agg(format('select e.id::uuid from jsonb_array_elements_text(public.find_jobs(%L, 100)) as e (id)', p), ' union all ')
            from jsonb_array_elements_text(search_sources.filter -> 'ids') p) end,
        case when search_sources.filter ? 'attempts' then (
            select string_agg(format('select e.id from unnest(cogo_internal.find_attempt_jobs(%L, 100)) as e (id)', lower(replace(p, '-', ''))), ' union all ')
            from jsonb_array_elements_text(search_sources.filter -> 'attempts') p) end,
        case when search_sources.filter ? 'lost' then
            'select a.job_id from public.job_attempts a where a.outcome = ''lost''' || times.lost end,
        case when search_sources.filter ? 'causes' then (
            select string_agg(format('(select d.job_id from public.jobs_dlq d where not d.superseded and d.fingerprint = %L limit $1)', c), ' union all ')
            from jsonb_array_elements_text(search_sources.filter -> 'causes') c) end,
        case when search_sources.filter -> 'conditions' ? 'dead-lettered' then
            'select d.job_id from public.jobs_dlq d where not d.superseded and d.closed_at is null and d.replayed_at is null' end,
        case when search_sources.filter -> 'conditions' ? 'discarded' then
            'select d.job_id from public.jobs_dlq d where d.discard_id is not null and not d.superseded and d.closed_at = d.discarded_at' end,
        case when search_sources.wanted = '{queued}' and search_sources.filter ? 'families' then (
            select string_agg(format('(select j.id from public.jobs j where j.status = ''queued'' and j.family = %L limit $1)', f), ' union all ')
            from jsonb_array_elements_text(search_sources.filter -> 'families') f) end,
        case when search_sources.wanted <@ '{succeeded,failed,cancelled}' and cardinality(search_sources.wanted) > 0
                  and search_sources.filter ? 'finished' then (
            select string_agg(format('(select j.id from public.jobs j where j.status = %L%s%s limit $1)', s,
                       case when s = 'succeeded' then '' else ' and j.status in (''failed'', ''cancelled'')' end, times.finished), ' union all ')
            from unnest(search_sources.wanted) s) end,
        case when search_sources.wanted <@ '{queued,running}' and cardinality(search_sources.wanted) > 0 then (
            select string_agg(format('(select j.id from public.jobs j where j.status = %L limit $1)', s), ' union all ')
            from unnest(search_sources.wanted) s) end
    ], null)
    from (
        select max(b.range) filter (where b.field = 'lost') as lost, max(b.range) filter (where b.field = 'finished') as finished
        from (
            select f.field,
                format(' and %s.finished_at >= %L', f.alias,
                       coalesce(cogo_internal.search_time(f.bound -> 'from', search_sources.at), '-infinity'))
                    || case when f.bound ->> 'to' is null then '' else format(
                        ' and %s.finished_at < %L', f.alias, cogo_internal.search_time(f.bound -> 'to', search_sources.at)) end as range
            from (values ('lost', 'a', search_sources.filter -> 'lost'), ('finished', 'j', search_sources.filter -> 'finished'))
                as f (field, alias, bound)
        ) b
    ) times
$$;

comment on function cogo_internal.search_sources is 'The queries that find ids of jobs by an index for a filter.';
