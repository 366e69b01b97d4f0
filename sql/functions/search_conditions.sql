/*
 * The condition that a filter of query_jobs stands for, on a row `w` of jobs, as SQL text with literals.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.search_conditions(filter jsonb, at timestamptz) returns text
language plpgsql stable set search_path = '' as $$
declare
    found text[] := '{}';
    side text;
    given jsonb;
    one text;
    bound record;
    release constant text := '(coalesce((select d.code_version from public.jobs_dlq d where d.job_id = w.id and not d.superseded),
        (select k.code_version from public.workers k where k.instance_id = w.instance_id)))';
    numbers constant text := 'string_to_array(substring(%s from ''^[0-9]{1,6}(?:\.[0-9]{1,6}){0,5}''), ''.'')::integer[]';
begin
    -- What must hold for any of the values, then what must not.
    foreach side in array '{only,not}'::text[] loop
        given := case side when 'only' then search_conditions.filter else search_conditions.filter -> 'not' end;
        continue when given is null;
        found := found || array(
            select case when side = 'not' then format('(%s) is not true', c.condition) else '(' || c.condition || ')' end
            from (
                select case f.key
                    when 'statuses' then format('w.status = any (%L::text[])', v.list)
                    when 'types' then (select string_agg(case when starts_with(p, '=') then format('w.type = %L', substr(p, 2)) else format('starts_with(w.type, %L)', p) end, ' or ') from unnest(v.list) p)
                    when 'families' then format('w.family = any (%L::text[])', v.list)
                    when 'executor_ids' then format('w.executor_id = any (%L::text[])', v.list)
                    when 'worker_ids' then format('w.worker_id = any (%1$L::text[]) or exists (
                        select from unnest(%1$L::text[]) p where p ~ ''^[0-9a-fA-F-]{8,36}$''
                        and (starts_with(w.instance_id::text, lower(p)) or right(w.instance_id::text, length(p)) = lower(p)))', v.list)
                    when 'hosts' then format('w.instance_id = any (array(select k.instance_id from public.workers k where k.hostname = any (%L::text[])))', v.list)
                    when 'error_classes' then format('w.error ->> ''class'' = any (%L::text[])', v.list)
                    when 'causes' then format('exists (select from public.jobs_dlq d where d.job_id = w.id and not d.superseded and d.fingerprint = any (%L::text[]))', v.list)
                    when 'releases' then format('%s = any (%L::text[])', release, v.list)
                end as condition
                from jsonb_each(given) f
                cross join lateral (select array(select jsonb_array_elements_text(f.value))) as v (list)
                where f.key in ('statuses', 'types', 'families', 'executor_ids', 'worker_ids', 'hosts', 'error_classes', 'causes', 'releases')
            ) c);
    end loop;

    if search_conditions.filter ? 'release_before' then
        found := found || format('%s < %s', format(numbers, release),
                                 format(numbers, quote_literal(search_conditions.filter ->> 'release_before')));
    end if;
    for bound in
        select b.field, (b.bound ->> 'from') is not null as has_from, (b.bound ->> 'to') is not null as has_to,
            cogo_internal.search_time(b.bound -> 'from', search_conditions.at) as first,
            cogo_internal.search_time(b.bound -> 'to', search_conditions.at) as last
        from (values ('created', search_conditions.filter -> 'created'), ('finished', search_conditions.filter -> 'finished'),
                     ('lost', search_conditions.filter -> 'lost')) as b (field, bound)
        where b.bound is not null
    loop
        one := case bound.field when 'lost' then 'a.finished_at' else 'w.' || bound.field || '_at' end;
        one := concat_ws(' and ', one || ' is not null', case when bound.has_from then format('%s >= %L', one, bound.first) end,
                         case when bound.has_to then format('%s < %L', one, bound.last) end);
        found := found || case bound.field
            when 'lost' then format('exists (select from public.job_attempts a where a.job_id = w.id and a.outcome = ''lost'' and %s)', one)
            else one end;
    end loop;
    if search_conditions.filter ? 'priority' then
        found := found || format('w.priority between %L and %L', (search_conditions.filter -> 'priority' ->> 'from')::integer,
                                 (search_conditions.filter -> 'priority' ->> 'to')::integer);
    end if;
    found := found || array(
        select case when right(p.entry ->> 'value', 1) = '*'
            then format('starts_with(w.payload #>> %L::text[], %L)', p.path, left(p.entry ->> 'value', -1))
            else format('w.payload #>> %L::text[] = %L', p.path, p.entry ->> 'value') end
        from jsonb_array_elements(coalesce(search_conditions.filter -> 'payload', '[]')) as e (entry)
        cross join lateral (select e.entry, array(select jsonb_array_elements_text(e.entry -> 'path'))) as p (entry, path));
    if search_conditions.filter ? 'action_id' then
        found := found || format('(exists (select from public.bulk_action_jobs b where b.action_id = %1$L and b.job_id = w.id)
            or exists (select from public.bulk_action_jobs b where b.action_id = %1$L and b.new_job_id = w.id))', search_conditions.filter ->> 'action_id');
    end if;
    if search_conditions.filter ? 'ids' then
        found := found || (
            select '(' || string_agg(format('starts_with(replace(w.id::text, ''-'', ''''), %1$L) or right(replace(w.id::text, ''-'', ''''), length(%1$L)) = %1$L',
                                            lower(replace(p, '-', ''))), ' or ') || ')'
            from jsonb_array_elements_text(search_conditions.filter -> 'ids') p);
    end if;
    if search_conditions.filter ? 'attempts' then
        found := found || (
            select format('w.id = any (%L::uuid[])', coalesce(array_agg(e.id), '{}'))
            from jsonb_array_elements_text(search_conditions.filter -> 'attempts') p
            cross join unnest(cogo_internal.find_attempt_jobs(lower(replace(p, '-', '')), 100)) as e (id));
    end if;
    if search_conditions.filter ? 'runs' then
        found := found || (
            select format('w.instance_id = any (array(select k.instance_id from public.workers k where k.dagster_run_id = any (%L::text[])))',
                          coalesce(array_agg(e.id), '{}'))
            from jsonb_array_elements_text(search_conditions.filter -> 'runs') p
            cross join jsonb_array_elements_text(public.find_ids('run', p, 100)) as e (id));
    end if;
    one := nullif(lower(search_conditions.filter ->> 'words'), '');
    if one is not null then
        found := found || format('(starts_with(w.id::text, %1$L) or right(w.id::text, length(%1$L)) = %1$L
            or strpos(lower(w.idempotency_key), %1$L) > 0 or strpos(lower(w.error ->> ''message''), %1$L) > 0
            or strpos(lower(case when cogo_internal.is_small_json(w.payload) then w.payload
                            else cogo_internal.readable_json(w.payload) end::text), %1$L) > 0)', one);
    end if;
    found := found || array(
        select case c.name
            when 'due' then format('w.status = ''queued'' and w.next_run_at <= %L', search_conditions.at)
            when 'scheduled' then format('w.status = ''queued'' and w.next_run_at > %L', search_conditions.at)
            when 'unaddressed' then 'w.executor_id is null'
            when 'dead-lettered' then 'exists (select from public.jobs_dlq d where d.job_id = w.id and not d.superseded
                and d.closed_at is null and d.replayed_at is null)'
            when 'lease-expired' then format('w.status = ''running'' and w.lease_expires_at < %L', search_conditions.at)
            when 'skipped' then format('exists (select from public.bulk_action_jobs b
                where b.action_id = %L and b.job_id = w.id and b.outcome = ''skipped'')', search_conditions.filter ->> 'action_id')
            when 'discarded' then 'exists (select from public.jobs_dlq d where d.job_id = w.id and not d.superseded
                and d.closed_at = d.discarded_at)'
            else 'true' end
        from jsonb_array_elements_text(coalesce(search_conditions.filter -> 'conditions', '[]')) as c (name));
    if search_conditions.filter -> 'conditions' ?| '{due,scheduled,paused}' then
        found := found || format('w.status = ''queued'' and %L = exists (
            select from public.paused p
            where p.kind = ''type'' and (w.type = p.name or starts_with(w.type, p.name || ''.''))
               or p.kind = ''executor'' and p.name = w.executor_id)', search_conditions.filter -> 'conditions' ? 'paused');
    end if;
    return coalesce(nullif(array_to_string(found, ' and '), ''), 'true');
end $$;

comment on function cogo_internal.search_conditions is 'The SQL condition of a filter of jobs.';
