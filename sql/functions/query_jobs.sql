/*
 * Jobs that match a filter, newest first or oldest first.
 *
 * filter      An object; every key is optional, and all must hold:
 *     statuses, types (prefixes: "browser" matches browser and browser.pdf, "=browser" only browser), families, executor_ids (addressed to),
 *     worker_ids (or digits of an instance's id), hosts (of the last worker), error_classes (of the last error), causes (fingerprints of its dead-lettered
 *     row), releases (that dead-lettered it, else that ran it last): arrays; any of their values
 *     not                       an object with the same arrays: none of their values
 *     release_before            a release by its leading numbers, such as "0.2.0"
 *     created, finished, lost   {"from", "to"}: each a time, or a number of seconds before now; `to` is excluded. lost: an
 *                               attempt lost its lease
 *     priority                  {"from", "to"}, both included
 *     conditions                ["due"]: queued, and all of these: `due` and `scheduled` by its time, neither paused;
 *                               `paused`; `unaddressed`; `dead-lettered`: open in the dead-letter queue; `discarded`; `lease-expired`;
 *                               `skipped` by the bulk action of action_id
 *     payload                   [{"path": ["viewport", "width"], "value": "1280"}], all of them; * at the end: a prefix
 *     action_id                 jobs of this bulk action, and those that replay them
 *     ids                       first or last digits of ids
 *     attempts                  first or last digits of the ids of attempts, as in the addresses of artifacts
 *     runs                      first or last digits of Dagster runs, whose workers claimed the jobs last
 *     words                     the beginning or the end of the id, or text in the idempotency key, the error's message or
 *                               the payload; case-insensitive
 *     order                     "newest" (default) or "oldest"
 * before_id   `before_id` of the previous page, for the next page
 *
 * One call reads at most 10,000 jobs: see search_ids.
 *
 * Returns {"jobs" with `subject`: see payload_subject, "before_id" or null after the last page,
 * "looked_until": how far an incomplete page has read}.
 * Errors: CQ001 there is no such bulk action, CQ005.
 */
create or replace function public.query_jobs(filter jsonb default '{}', before_id uuid default null, max_jobs integer default 50)
returns jsonb
language plpgsql stable set search_path = '' set jit = off as $$
declare
    page constant jsonb := cogo_internal.search_ids(query_jobs.filter, query_jobs.before_id, query_jobs.max_jobs);
    found_jobs jsonb;
begin
    select jsonb_agg(cogo_internal.job_row(j) || jsonb_build_object('subject', cogo_internal.payload_subject(j.payload)) order by i.place)
    into found_jobs
    from jsonb_array_elements_text(page -> 'ids') with ordinality as i (id, place)
    join public.jobs j on j.id = i.id::uuid;
    return jsonb_build_object('jobs', coalesce(found_jobs, '[]'), 'before_id', page -> 'next', 'looked_until', page -> 'looked_until');
end $$;

comment on function public.query_jobs is 'Jobs that match a filter.';
