/*
 * Whether no purge can have deleted rows of a window that begins at window_start.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.window_is_complete(window_start timestamptz) returns boolean
language sql stable set search_path = '' as $$
    select not exists (
        select from public.operations_log l
        where l.operation = 'purge_jobs' and l.changed > 0
          and l.created_at - make_interval(secs => 86400 * case when jsonb_typeof(l.filter -> 'older_than_days') = 'number'
                  then least((l.filter -> 'older_than_days')::numeric, 36500)::double precision else 0 end)
              > window_is_complete.window_start)
$$;

comment on function cogo_internal.window_is_complete is 'Whether no purge can have deleted rows of a window.';
