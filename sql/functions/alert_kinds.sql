/*
 * The kinds of alerts and announcements that this release raises.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.alert_kinds() returns text[]
language sql immutable set search_path = '' as $$
    select '{job_failed,run_failed,gate_failed,worker_dead,executor_unavailable,no_worker_for_family,jobs_stranded,sensor_failing,schedule_missed,snapshot_held,provider_unreachable,target_failing,target_removed,database_down,weekly}'::text[]
$$;

comment on function cogo_internal.alert_kinds is 'The kinds of alerts and announcements.';
