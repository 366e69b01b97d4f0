/*
 * Check the form of a filter of query_jobs.
 * Errors: CQ005.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.check_search(filter jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
    wrong text;
begin
    if jsonb_typeof(check_search.filter) is distinct from 'object' then
        perform cogo_internal.invalid_argument('filter must be an object such as {"statuses": ["failed"]}.');
    end if;
    select e.key into wrong from jsonb_each(check_search.filter) e
    where e.key not in ('statuses', 'types', 'families', 'executor_ids', 'worker_ids', 'hosts', 'error_classes', 'causes', 'releases',
                        'not', 'release_before', 'created', 'finished', 'lost', 'priority', 'payload', 'action_id', 'ids', 'attempts', 'runs',
                        'words',
                        'conditions', 'order')
       or jsonb_typeof(e.value) <> case
           when e.key in ('not', 'created', 'finished', 'lost', 'priority') then 'object'
           when e.key in ('release_before', 'action_id', 'words', 'order') then 'string'
           else 'array' end
    limit 1;
    if wrong is not null then
        perform cogo_internal.invalid_argument(format('The key %s of the filter is unknown, or has a value of another type.', quote_literal(wrong)));
    end if;
    select e.key into wrong from jsonb_each(coalesce(check_search.filter -> 'not', '{}')) e
    where e.key not in ('statuses', 'types', 'families', 'executor_ids', 'worker_ids', 'hosts', 'error_classes', 'causes', 'releases')
       or jsonb_typeof(e.value) <> 'array'
    limit 1;
    if wrong is not null then
        perform cogo_internal.invalid_argument(format('The key %s of the filter cannot be negated, or is not an array.', quote_literal(wrong)));
    end if;
    select s into wrong from jsonb_array_elements_text(
        coalesce(check_search.filter -> 'statuses', '[]') || coalesce(check_search.filter -> 'not' -> 'statuses', '[]')) s
    where s not in ('queued', 'running', 'succeeded', 'failed', 'cancelled') limit 1;
    if wrong is not null then
        perform cogo_internal.invalid_argument(format(
            'The status %s is unknown: use queued, running, succeeded, failed or cancelled.', quote_literal(wrong)));
    end if;
    if exists (select from jsonb_array_elements_text(coalesce(check_search.filter -> 'conditions', '[]')) c
               where c not in ('due', 'scheduled', 'paused', 'unaddressed', 'dead-lettered', 'discarded', 'lease-expired', 'skipped')) then
        perform cogo_internal.invalid_argument('A condition is unknown: use due, scheduled, paused, unaddressed, dead-lettered, discarded, lease-expired or skipped.');
    end if;
    if check_search.filter -> 'conditions' ? 'skipped' and not check_search.filter ? 'action_id' then
        perform cogo_internal.invalid_argument('The condition skipped needs action_id, the bulk action that skipped the jobs.');
    end if;
    if coalesce(check_search.filter ->> 'order', 'newest') not in ('newest', 'oldest') then
        perform cogo_internal.invalid_argument('order must be newest or oldest.');
    end if;
    if exists (select from jsonb_array_elements_text(
                   coalesce(check_search.filter -> 'ids', '[]') || coalesce(check_search.filter -> 'attempts', '[]')
                   || coalesce(check_search.filter -> 'runs', '[]') || coalesce('[]' || (check_search.filter -> 'action_id'), '[]')) i
               where replace(i, '-', '') !~ '^[0-9a-fA-F]{8,32}$') then
        perform cogo_internal.invalid_argument('ids, attempts, runs and action_id must be UUIDs, or at least 8 of their first or last hexadecimal digits.');
    end if;
    if jsonb_path_exists(check_search.filter, '$.priority.* ? (!(@.type() == "number" && @ >= -1000 && @ <= 1000))') then
        perform cogo_internal.invalid_argument('priority must be an object such as {"from": 0, "to": 3}.');
    end if;
    if exists (select from jsonb_array_elements(coalesce(check_search.filter -> 'payload', '[]')) p
               where jsonb_typeof(p -> 'path') is distinct from 'array' or jsonb_typeof(p -> 'value') is distinct from 'string') then
        perform cogo_internal.invalid_argument('payload must be an array such as [{"path": ["url"], "value": "https://…"}].');
    end if;
end $$;

comment on function cogo_internal.check_search is 'Check the form of a filter of jobs.';
