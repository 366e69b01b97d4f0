/*
 * Compute a window's numbers with gate_summary and store them permanently; all or nothing.
 *
 * kind           daily: a UTC day that ended five minutes ago or earlier, so that transactions in progress are included;
 *                rolling: the 24 hours before now
 * window_start   midnight UTC of the day; null for rolling
 *
 * If the window is already stored, window_outcome decides which numbers stay.
 * Returns {"outcome", "window_start", "window_end", "branch", "numbers", "providers", "complete": no purge came before,
 * "revision", "computed_at"}. Errors: CQ005.
 */
create or replace function public.store_gate_snapshot(
    kind text default 'rolling', window_start timestamptz default null, branch text default 'main'
) returns jsonb
language plpgsql set search_path = '' set timezone = 'UTC' as $$
#variable_conflict use_column
declare
    at constant timestamptz := clock_timestamp();
    first constant timestamptz := case store_gate_snapshot.kind when 'rolling' then at - interval '24 hours'
                                       else store_gate_snapshot.window_start end;
    ending constant timestamptz := first + interval '24 hours';
    computed jsonb;
    kept public.gate_snapshots;
    outcome text := 'stored';
begin
    perform case
        when store_gate_snapshot.kind is null or store_gate_snapshot.kind not in ('daily', 'rolling')
            then cogo_internal.invalid_argument('The kind of a snapshot must be daily or rolling.')
        when first is null or store_gate_snapshot.kind = 'daily' and first <> date_trunc('day', first)
            then cogo_internal.invalid_argument('A daily snapshot begins at midnight UTC of its day.')
        when store_gate_snapshot.kind = 'daily' and ending > at - interval '5 minutes'
            then cogo_internal.invalid_argument(format('The day %s is not over: its snapshot can be computed from %s UTC on.',
                to_char(first, 'YYYY-MM-DD'), to_char(ending + interval '5 minutes', 'YYYY-MM-DD HH24:MI')))
    end;
    computed := public.gate_summary(first, ending, store_gate_snapshot.branch);
    -- Of two concurrent calls, the second waits for the row of the first and compares its numbers with it.
    insert into public.gate_snapshots (kind, branch, window_start, window_end, numbers, sources, providers, complete, computed_at)
    values (store_gate_snapshot.kind, store_gate_snapshot.branch, first, ending, computed - 'sources', computed -> 'sources',
            public.list_provider_health(), cogo_internal.window_is_complete(first), at)
    on conflict (kind, branch, window_start) do nothing
    returning * into kept;
    if kept.branch is null then
        select * into kept from public.gate_snapshots s
        where s.kind = store_gate_snapshot.kind and s.branch = store_gate_snapshot.branch and s.window_start = first
        for update;
        outcome := cogo_internal.window_outcome(kept.numbers, kept.sources, computed - 'sources', computed -> 'sources');
    end if;
    if outcome = 'revised' then
        update public.gate_snapshots s set numbers = computed - 'sources', sources = computed -> 'sources',
            revision = s.revision + 1, computed_at = at
        where s.kind = kept.kind and s.branch = kept.branch and s.window_start = first
        returning * into kept;
    end if;
    return cogo_internal.window_row(kept.window_start, kept.window_end, kept.branch, kept.numbers, kept.providers, kept.complete, kept.revision,
                             kept.computed_at) || jsonb_build_object('outcome', outcome);
end $$;

comment on function public.store_gate_snapshot is 'Compute a window''s numbers and store them.';
