/*
 * Silences of alerts, the latest end first.
 *
 * active_only   leave out silences that have ended
 */
create or replace function public.list_alert_silences(active_only boolean default true, max_silences integer default 50) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(page) order by page.ends_at desc, page.id), '[]')
    from (
        select s.*, s.ends_at > clock_timestamp() as active from public.alert_silences s
        where not list_alert_silences.active_only or s.ends_at > now()
        order by s.ends_at desc, s.id limit least(list_alert_silences.max_silences, 1000)
    ) page
$$;

comment on function public.list_alert_silences is 'Silences of alerts, with their authors.';
