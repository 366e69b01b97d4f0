/*
 * A bulk action as lists show it. `state`: planned, running, stopped or finished. `planned`, `changed`, `skipped`: numbers of
 * jobs. `more`: jobs are left.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.bulk_action_row(action public.bulk_actions) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(bulk_action_row.action) - 'batches' || jsonb_build_object('state', case
        when (bulk_action_row.action).finished_at is not null then 'finished'
        when (bulk_action_row.action).stopped_at is not null then 'stopped'
        when (bulk_action_row.action).started_at is not null then 'running'
        else 'planned' end,
        'more', (bulk_action_row.action).planned > (bulk_action_row.action).changed + (bulk_action_row.action).skipped)
$$;

comment on function cogo_internal.bulk_action_row is 'A bulk action as lists show it.';
