/*
 * The operations log, newest first: who did what to which rows, and how many changed.
 *
 * before   {"created_at", "id"} of the last operation of the previous page, for the next page
 */
create or replace function public.list_operations(
    operation text default null, since_seconds double precision default null, before jsonb default null,
    max_operations integer default 50
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(page) - 'answer' - 'batches' order by page.created_at desc, page.id desc), '[]')
    from (
        select l.* from public.operations_log l
        where (list_operations.operation is null or l.operation = list_operations.operation)
          and (list_operations.since_seconds is null
               or l.created_at >= now() - make_interval(secs => list_operations.since_seconds))
          and (list_operations.before is null
               or (l.created_at, l.id) < ((list_operations.before ->> 'created_at')::timestamptz, (list_operations.before ->> 'id')::uuid))
        order by l.created_at desc, l.id desc
        limit least(list_operations.max_operations, 1000)
    ) page
$$;

comment on function public.list_operations is 'The operations log, newest first.';
