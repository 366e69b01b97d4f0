/*
 * Search jobs, newest first: query_jobs with one value of each filter. Every filter may be null.
 * Deprecated: use query_jobs. Clients of release 0.1.0 call this name.
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
 * conditions, words, before_id   as in query_jobs
 *
 * Returns what query_jobs returns. Errors: CQ005.
 */
create or replace function public.search_jobs(
    statuses jsonb default null, type_prefix text default null, executor_id text default null, worker_id text default null,
    device text default null, error_class text default null, since_seconds double precision default null,
    words text default null, before_id uuid default null, max_jobs integer default 50, family text default null,
    finished_seconds double precision default null, lost_seconds double precision default null, conditions jsonb default null
) returns jsonb
language sql stable set search_path = '' as $$
    select public.query_jobs(jsonb_strip_nulls(jsonb_build_object(
        'statuses', nullif(search_jobs.statuses, '[]'), 'types', '[]' || to_jsonb(search_jobs.type_prefix),
        'families', '[]' || to_jsonb(search_jobs.family), 'executor_ids', '[]' || to_jsonb(search_jobs.executor_id),
        'worker_ids', '[]' || to_jsonb(search_jobs.worker_id), 'hosts', '[]' || to_jsonb(search_jobs.device),
        'error_classes', '[]' || to_jsonb(search_jobs.error_class),
        'created', case when search_jobs.since_seconds is not null then jsonb_build_object('from', search_jobs.since_seconds) end,
        'finished', case when search_jobs.finished_seconds is not null then jsonb_build_object('from', search_jobs.finished_seconds) end,
        'lost', case when search_jobs.lost_seconds is not null then jsonb_build_object('from', search_jobs.lost_seconds) end,
        'conditions', search_jobs.conditions, 'words', search_jobs.words)), search_jobs.before_id, search_jobs.max_jobs)
$$;

comment on function public.search_jobs is 'Search jobs, newest first.';
