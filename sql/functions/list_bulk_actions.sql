/*
 * Bulk actions, newest first.
 *
 * part          only those whose id begins or ends with these hexadecimal digits, among the newest 10,000
 * max_actions   1 to 1,000
 */
create or replace function public.list_bulk_actions(part text default null, max_actions integer default 50) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(cogo_internal.bulk_action_row(page.action) order by (page.action).created_at desc, (page.action).id desc), '[]')
    from (
        select newest.action
        from (select b as action from public.bulk_actions b order by b.created_at desc, b.id desc limit 10000) newest
        where list_bulk_actions.part is null
           or starts_with((newest.action).id::text, lower(list_bulk_actions.part))
           or right((newest.action).id::text, length(list_bulk_actions.part)) = lower(list_bulk_actions.part)
        limit least(list_bulk_actions.max_actions, 1000)
    ) page
$$;

comment on function public.list_bulk_actions is 'Bulk actions, newest first.';
