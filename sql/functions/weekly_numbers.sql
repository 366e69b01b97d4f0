/*
 * An ISO week's numbers: the stored ones, else computed now and not stored.
 *
 * window_start   Monday 00:00 UTC; null: the last week that is over
 *
 * Returns {"window_start", "window_end", "branch", "numbers", "providers", "complete", "revision" 0 if it is not stored,
 * "computed_at"}; complete: the week is over, and no purge came before. Errors: CQ005.
 */
create or replace function public.weekly_numbers(window_start timestamptz default null, branch text default 'main') returns jsonb
language plpgsql stable set search_path = '' set timezone = 'UTC' as $$
declare
    at constant timestamptz := clock_timestamp();
    first constant timestamptz := coalesce(weekly_numbers.window_start, date_trunc('week', at) - interval '7 days');
    ending constant timestamptz := first + interval '7 days';
    kept public.weekly_summaries;
    computed jsonb;
begin
    perform case
        when first <> date_trunc('week', first) then cogo_internal.invalid_argument('A week begins on Monday at 00:00 UTC.')
        when first > at then cogo_internal.invalid_argument(format('The week of %s has not begun.', to_char(first, 'YYYY-MM-DD')))
    end;
    select * into kept from public.weekly_summaries w where w.branch = weekly_numbers.branch and w.window_start = first;
    if kept.branch is not null then
        return cogo_internal.window_row(kept.window_start, kept.window_end, kept.branch, kept.numbers, kept.providers, kept.complete, kept.revision,
                                 kept.computed_at);
    end if;
    computed := public.gate_summary(first, ending, weekly_numbers.branch);
    return cogo_internal.window_row(first, ending, weekly_numbers.branch, computed - 'sources', public.list_provider_health(),
                             ending <= at and cogo_internal.window_is_complete(first), 0, at);
end $$;

comment on function public.weekly_numbers is 'An ISO week''s numbers, stored or computed.';
