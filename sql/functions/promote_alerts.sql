/*
 * The old name of evaluate_alerts, with the same arguments and result. Deprecated: it will be removed in the next release.
 * Errors: CQ005.
 */
create or replace function public.promote_alerts(
    targets jsonb default '[]', repeat_seconds double precision default 1800, batch_size integer default 5000,
    stranded_seconds double precision default 900
) returns jsonb
language sql set search_path = '' as $$
    select public.evaluate_alerts(promote_alerts.targets, promote_alerts.repeat_seconds, promote_alerts.batch_size, promote_alerts.stranded_seconds)
$$;

comment on function public.promote_alerts is 'Deprecated: the old name of evaluate_alerts.';
