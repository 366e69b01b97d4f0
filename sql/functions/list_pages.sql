/*
 * Jobs with a payload key `url` that succeeded in a window, newest first, each with its screenshot.
 *
 * window_start, window_end   half-open
 * before                     {"finished_at", "job_id"} of the last row that the previous call has read
 *
 * One call reads at most 5,000 jobs.
 *
 * Returns {"pages": [{"job_id", "url", "title", "finished_at", "screenshot_id"}], "before": for the next call, null after
 * the last}.
 */
create or replace function public.list_pages(
    window_start timestamptz, window_end timestamptz, before jsonb default null, max_pages integer default 24
) returns jsonb
language plpgsql stable set search_path = '' set timezone = 'UTC' set plan_cache_mode = force_custom_plan as $$
declare
    size constant integer := least(greatest(list_pages.max_pages, 1), 200);
    last_at constant timestamptz := coalesce((list_pages.before ->> 'finished_at')::timestamptz, list_pages.window_end);
    last_id constant uuid := coalesce((list_pages.before ->> 'job_id')::uuid, '00000000-0000-0000-0000-000000000000');
    max_read integer;
    result jsonb;
begin
    -- Most often the newest jobs have enough pages.
    foreach max_read in array array[10 * size, 5000] loop
        with seen as materialized (
            select j.id, j.finished_at, j.payload ->> 'url' as url, j.result ->> 'title' as title
            from public.jobs j
            where j.status = 'succeeded' and j.finished_at >= list_pages.window_start and (j.finished_at, j.id) < (last_at, last_id)
            order by j.finished_at desc, j.id desc
            limit max_read
        ), page as materialized (
            select * from seen s where s.url is not null order by s.finished_at desc, s.id desc limit size
        ), last_read as (
            (select p.id, p.finished_at from page p where (select count(*) from page) = size order by p.finished_at, p.id limit 1)
            union all
            (select s.id, s.finished_at from seen s
             where (select count(*) from page) < size and (select count(*) from seen) = max_read order by s.finished_at, s.id limit 1)
        )
        select jsonb_build_object(
            'pages', (select coalesce(jsonb_agg(jsonb_build_object(
                    'job_id', p.id, 'url', left(p.url, 300), 'title', left(p.title, 300), 'finished_at', p.finished_at,
                    'screenshot_id', (select a.id from public.artifacts a
                                      where a.job_id = p.id and a.status = 'ready' and a.name = 'screenshot.png'
                                      order by a.attempt desc limit 1)) order by p.finished_at desc, p.id desc), '[]') from page p),
            'before', (select jsonb_build_object('finished_at', l.finished_at, 'job_id', l.id) from last_read l))
        into result;
        exit when jsonb_array_length(result -> 'pages') = size or result -> 'before' = 'null';
    end loop;
    return result;
end $$;

comment on function public.list_pages is 'Pages that were opened successfully in a window, with their screenshots.';
