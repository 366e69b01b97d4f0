/*
 * Search jobs, newest first. Every filter may be null.
 *
 * statuses        ["queued", "failed"]
 * type_prefix     "browser" matches browser and browser.pdf
 * family          exactly this family
 * executor_id     addressed to this executor
 * worker_id       last claimed by this worker
 * device          last claimed by a worker on this host
 * error_class     the class of the last error
 * since_seconds   created within this many seconds
 * finished_seconds  finished within this many seconds
 * lost_seconds    an attempt of it lost its lease within this many seconds
 * conditions      ["due"]: queued, and all of these: `due` and `scheduled` by its time, neither paused; `paused`;
 *                 `unaddressed`
 * words           the beginning or the end of the id, or text in the idempotency key, the error's message or the payload; case-insensitive
 * before_id       `before_id` of the previous page, for the next page
 *
 * One call reads at most 20,000 jobs: those that an index finds, else the newest.
 *
 * Returns {"jobs" with `subject`: see payload_subject, "before_id" or null after the last page,
 * "looked_until": how far back an incomplete page has read}.
 * Errors: CQ005.
 */
create or replace function public.search_jobs(
    statuses jsonb default null, type_prefix text default null, executor_id text default null, worker_id text default null,
    device text default null, error_class text default null, since_seconds double precision default null,
    words text default null, before_id uuid default null, max_jobs integer default 50, family text default null,
    finished_seconds double precision default null, lost_seconds double precision default null, conditions jsonb default null
) returns jsonb
language plpgsql stable set search_path = '' set jit = off set work_mem = '32MB' as $$
declare
    max_read constant integer := 20000;
    few constant integer := 10000;
    at timestamptz := clock_timestamp();
    wanted text[] := array(select jsonb_array_elements_text(search_jobs.statuses));
    size constant integer := least(greatest(search_jobs.max_jobs, 1), 1000);
    conditions text[] := array(select jsonb_array_elements_text(search_jobs.conditions));
    finished_after constant timestamptz := at - make_interval(secs => search_jobs.finished_seconds);
    lost_after constant timestamptz := at - make_interval(secs => search_jobs.lost_seconds);
    source text;
    found_jobs jsonb;
    found_count integer;
    last_id uuid;
    last_seen record;
begin
    if exists (select from unnest(wanted) s where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled')) then
        perform cogo_internal.invalid_argument(format(
            'The status %s is unknown: use queued, running, succeeded, failed or cancelled.',
            (select quote_literal(s) from unnest(wanted) s
             where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled') limit 1)));
    end if;
    if not conditions <@ '{due,scheduled,paused,unaddressed}' then
        perform cogo_internal.invalid_argument('A condition is unknown: use due, scheduled, paused or unaddressed.');
    end if;
    if cardinality(wanted) = 0 and conditions && '{due,scheduled,paused}' then
        wanted := '{queued}';
    end if;
    source := case
        when lost_after is not null then 'j.id in (select a.job_id from public.job_attempts a where a.outcome = ''lost'' and a.finished_at > $12)'
        when search_jobs.error_class is not null then 'j.error is not null and j.error ->> ''class'' = $3'
        when finished_after is not null and wanted <@ '{succeeded,failed,cancelled}' and cardinality(wanted) = 1 and few > (
            select count(*) from (select from public.jobs j where j.status in ('succeeded', 'failed', 'cancelled')
                                    and j.status = wanted[1] and j.finished_at > finished_after limit few) q)
            then format('j.status in (''succeeded'', ''failed'', ''cancelled'') and j.status = %L and j.finished_at > $13', wanted[1])
        when wanted = '{queued}' and search_jobs.family is not null and few > (
            select count(*) from (select from public.jobs j where j.status = 'queued' and j.family = search_jobs.family limit few) q)
            then 'j.status = ''queued'' and j.family = $14'
        when wanted = '{failed}' or wanted = '{cancelled}' then format('j.status = %L', wanted[1])
        when wanted = '{running}' then 'j.status = ''running'''
        when wanted <@ '{queued,running}' and cardinality(wanted) > 0 and few > (
            select count(*) from (select from public.jobs j where j.status = 'queued' limit few) q)
            then 'j.status in (''queued'', ''running'') and j.status = any ($4)'
        else 'true' end;
    source := format('from public.jobs j where %s and ($1 is null or j.id < $1) order by j.id desc limit $2', source);

    execute 'select jsonb_agg(cogo_internal.job_row(f.job) || jsonb_build_object(''subject'',
                cogo_internal.payload_subject((f.job).payload)) order by (f.job).id desc), count(*), (array_agg((f.job).id order by (f.job).id))[1]
        from (select w.job from (select j as job, j.* ' || source || ') w
              where (cardinality($4) = 0 or w.status = any ($4))
                and ($3 is null or w.error ->> ''class'' = $3)
                and ($5 is null or starts_with(w.type, $5))
                and ($6 is null or w.executor_id = $6)
                and ($7 is null or w.worker_id = $7)
                and ($8 is null or w.instance_id in (select k.instance_id from public.workers k where k.hostname = $8))
                and ($9 is null or w.created_at >= $9)
                and ($10 is null or starts_with(w.id::text, $10) or right(w.id::text, length($10)) = $10 or strpos(lower(w.idempotency_key), $10) > 0
                     or strpos(lower(w.error ->> ''message''), $10) > 0 or strpos(lower(case when cogo_internal.is_small_json(w.payload) then w.payload
                         else cogo_internal.readable_json(w.payload) end::text), $10) > 0)
                and ($12 is null or w.id in (select a.job_id from public.job_attempts a where a.outcome = ''lost'' and a.finished_at > $12))
                and ($13 is null or w.finished_at > $13)
                and ($14 is null or w.family = $14)
                and (not $15 @> ''{unaddressed}'' or w.executor_id is null)
                and (not $15 @> ''{due}'' or w.status = ''queued'' and w.next_run_at <= $16)
                and (not $15 @> ''{scheduled}'' or w.status = ''queued'' and w.next_run_at > $16)
                and (not $15 && ''{due,scheduled,paused}'' or w.status = ''queued'' and $15 @> ''{paused}'' = exists (
                    select from public.paused p
                    where p.kind = ''type'' and (w.type = p.name or starts_with(w.type, p.name || ''.''))
                       or p.kind = ''executor'' and p.name = w.executor_id))
              order by w.id desc limit $11) f'
    into found_jobs, found_count, last_id
    using search_jobs.before_id, max_read, search_jobs.error_class, wanted, search_jobs.type_prefix, search_jobs.executor_id,
          search_jobs.worker_id, search_jobs.device, at - make_interval(secs => search_jobs.since_seconds),
          nullif(lower(search_jobs.words), ''), size + 1, lost_after, finished_after, search_jobs.family, conditions, at;

    if found_count > size then
        found_jobs := found_jobs - size;
        return jsonb_build_object('jobs', found_jobs, 'before_id', found_jobs -> -1 -> 'id', 'looked_until', null);
    end if;
    -- The page is not full: either there are no more jobs, or it reached the limit of jobs to read.
    execute 'select s.id, s.created_at from (select j.id, j.created_at ' || source || ') s offset $2 - 1'
    into last_seen
    using search_jobs.before_id, max_read, search_jobs.error_class, wanted, null, null, null, null, null, null, null,
          lost_after, finished_after, search_jobs.family;
    return jsonb_build_object('jobs', coalesce(found_jobs, '[]'), 'before_id', last_seen.id, 'looked_until', last_seen.created_at);
end $$;

comment on function public.search_jobs is 'Search jobs, newest first.';
