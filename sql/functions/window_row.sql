/*
 * The numbers of a window as lists return them.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.window_row(
    window_start timestamptz, window_end timestamptz, branch text, numbers jsonb, providers jsonb, complete boolean,
    revision integer, computed_at timestamptz
) returns jsonb
language sql stable set search_path = '' set timezone = 'UTC' as $$
    select jsonb_build_object(
        'window_start', window_row.window_start, 'window_end', window_row.window_end, 'branch', window_row.branch,
        'numbers', window_row.numbers, 'providers', window_row.providers, 'complete', window_row.complete, 'revision', window_row.revision,
        'computed_at', window_row.computed_at)
$$;

comment on function cogo_internal.window_row is 'The document a list returns for one window.';
