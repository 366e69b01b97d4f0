/*
 * The jobs of a filter as a bulk action sees them: which it can change, and why not the others. Writes nothing.
 *
 * operation   retry, replay, discard or cancel
 * filter, before_id, max_jobs   as in query_jobs
 *
 * Returns {"items", "before_id" or null after the last page, "looked_until"}. An item is {"id", "version", "type", "status",
 * "error_class", "cause", "host", "release", "ineligible"}: null, or one of not_failed, finished, cancel_requested,
 * not_dead_lettered, replayed, retried, discarded, unreadable, key_taken. `version`: of the row that would be changed.
 * Errors: CQ001 there is no such bulk action, CQ005.
 */
create or replace function public.select_for_action(
    operation text, filter jsonb default '{}', before_id uuid default null, max_jobs integer default 500
) returns jsonb
language plpgsql stable set search_path = '' set jit = off as $$
declare
    page jsonb;
    items jsonb;
begin
    if coalesce(select_for_action.operation, '') not in ('retry', 'replay', 'discard', 'cancel') then
        perform cogo_internal.invalid_argument('operation must be retry, replay, discard or cancel.');
    end if;
    page := cogo_internal.search_ids(select_for_action.filter, select_for_action.before_id, select_for_action.max_jobs);
    select jsonb_agg(jsonb_build_object(
        'id', j.id, 'type', j.type, 'status', j.status, 'error_class', j.error ->> 'class', 'cause', d.fingerprint,
        'host', w.hostname, 'release', coalesce(d.code_version, w.code_version),
        'version', case select_for_action.operation when 'retry' then j.xmin::text when 'cancel' then null else d.xmin::text end,
        'ineligible', case
            when select_for_action.operation = 'cancel' then case
                when j.status not in ('queued', 'running') then 'finished'
                when j.status = 'running' and j.cancel_requested then 'cancel_requested' end
            when select_for_action.operation = 'retry' and j.status <> 'failed' then 'not_failed'
            when select_for_action.operation <> 'retry' and d.job_id is null then 'not_dead_lettered'
            when d.replayed_at is not null then 'replayed'
            when d.closed_at = d.discarded_at then 'discarded'
            when select_for_action.operation = 'retry' then null
            when d.closed_at is not null then 'retried'
            when select_for_action.operation = 'discard' then null
            when d.type is null then 'unreadable'
            when cogo_internal.replay_key_holder(d) is not null then 'key_taken' end) order by i.place)
    into items
    from jsonb_array_elements_text(page -> 'ids') with ordinality as i (id, place)
    join public.jobs j on j.id = i.id::uuid
    left join public.jobs_dlq d on d.job_id = j.id and not d.superseded
    left join public.workers w on w.instance_id = j.instance_id;
    return jsonb_build_object('items', coalesce(items, '[]'), 'before_id', page -> 'next', 'looked_until', page -> 'looked_until');
end $$;

comment on function public.select_for_action is 'The jobs of a filter, and which of them a bulk action can change.';
