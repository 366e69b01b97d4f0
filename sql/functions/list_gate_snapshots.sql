/*
 * Stored snapshots of one branch, newest first.
 *
 * kind    daily or rolling
 * since   only windows that begin at this time or later; null: all
 *
 * Returns [{"window_start", "window_end", "branch", "numbers", "providers", "complete", "revision", "computed_at"}].
 */
create or replace function public.list_gate_snapshots(
    kind text default 'daily', branch text default 'main', since timestamptz default null, max_snapshots integer default 30
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.window_row(page.window_start, page.window_end, page.branch, page.numbers, page.providers, page.complete,
                                                page.revision, page.computed_at) order by page.window_start desc), '[]')
    from (
        select * from public.gate_snapshots s
        where s.kind = list_gate_snapshots.kind and s.branch = list_gate_snapshots.branch
          and (list_gate_snapshots.since is null or s.window_start >= list_gate_snapshots.since)
        order by s.window_start desc
        limit least(list_gate_snapshots.max_snapshots, 1000)
    ) page
$$;

comment on function public.list_gate_snapshots is 'Stored snapshots of a branch, newest first.';
