/*
 * Compute an ISO week's numbers with gate_summary and store them permanently; all or nothing. They are computed from the
 * rows, not from daily snapshots, so that it need not wait for those.
 *
 * window_start   Monday 00:00 UTC of a week that ended five minutes ago or earlier; null: the last such week
 *
 * If the week is already stored, window_outcome decides which numbers stay.
 * Returns {"outcome", "window_start", "window_end", "branch", "numbers", "providers", "complete": no purge came before,
 * "revision", "computed_at"}. Errors: CQ005.
 */
create or replace function public.store_weekly_summary(window_start timestamptz default null, branch text default 'main') returns jsonb
language plpgsql set search_path = '' set timezone = 'UTC' as $$
#variable_conflict use_column
declare
    at constant timestamptz := clock_timestamp();
    first constant timestamptz := coalesce(store_weekly_summary.window_start,
                                           date_trunc('week', at - interval '5 minutes') - interval '7 days');
    ending constant timestamptz := first + interval '7 days';
    computed jsonb;
    kept public.weekly_summaries;
    outcome text := 'stored';
begin
    perform case
        when first <> date_trunc('week', first) then cogo_internal.invalid_argument('A week begins on Monday at 00:00 UTC.')
        when ending > at - interval '5 minutes'
            then cogo_internal.invalid_argument(format('The week of %s is not over: its summary can be computed from %s UTC on.',
                to_char(first, 'YYYY-MM-DD'), to_char(ending + interval '5 minutes', 'YYYY-MM-DD HH24:MI')))
    end;
    computed := public.gate_summary(first, ending, store_weekly_summary.branch);
    insert into public.weekly_summaries (branch, window_start, window_end, numbers, sources, providers, complete, computed_at)
    values (store_weekly_summary.branch, first, ending, computed - 'sources', computed -> 'sources',
            public.list_provider_health(), cogo_internal.window_is_complete(first), at)
    on conflict (branch, window_start) do nothing
    returning * into kept;
    if kept.branch is null then
        select * into kept from public.weekly_summaries w
        where w.branch = store_weekly_summary.branch and w.window_start = first for update;
        outcome := cogo_internal.window_outcome(kept.numbers, kept.sources, computed - 'sources', computed -> 'sources');
    end if;
    if outcome = 'revised' then
        update public.weekly_summaries w set numbers = computed - 'sources', sources = computed -> 'sources',
            revision = w.revision + 1, computed_at = at
        where w.branch = kept.branch and w.window_start = first
        returning * into kept;
    end if;
    return cogo_internal.window_row(kept.window_start, kept.window_end, kept.branch, kept.numbers, kept.providers, kept.complete, kept.revision,
                             kept.computed_at) || jsonb_build_object('outcome', outcome);
end $$;

comment on function public.store_weekly_summary is 'Compute an ISO week''s numbers and store them.';
