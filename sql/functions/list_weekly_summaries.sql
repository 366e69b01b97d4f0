/*
 * Stored weekly summaries of one branch, newest first.
 * Returns [{"window_start", "window_end", "branch", "numbers", "providers", "complete", "revision", "computed_at"}].
 */
create or replace function public.list_weekly_summaries(branch text default 'main', max_weeks integer default 12) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.window_row(page.window_start, page.window_end, page.branch, page.numbers, page.providers, page.complete,
                                                page.revision, page.computed_at) order by page.window_start desc), '[]')
    from (
        select * from public.weekly_summaries w
        where w.branch = list_weekly_summaries.branch
        order by w.window_start desc
        limit least(list_weekly_summaries.max_weeks, 1000)
    ) page
$$;

comment on function public.list_weekly_summaries is 'Stored weekly summaries of a branch, newest first.';
