/*
 * Delete what has passed its retention period, oldest first, at most batch_size rows of each table.
 *
 * days   {"workers": stopped or silent instances with their metrics, devices and executor IDs; "heartbeats";
 *        "operations": rows of the operations log, and bulk actions; "dead_letters": closed, replayed or superseded ones;
 *        "alerts": those that do not fire, with their deliveries, silences that ended, and failures of Dagster runs;
 *        "numbers": stored periods and their sums; "measures": durations and error classes of periods and hours, from 8;
 *        "deduplication": claims whose lease was lost, and alerted gate runs and workers, from 8; "gate_runs": gate runs,
 *        snapshots and weekly summaries; "expired_artifacts": their objects and rows are deleted by the sweeper}, each a
 *        number of days from 1.
 *        What is missing or null is kept.
 *
 * The counters of deleted workers stay in worker_totals. A worker that is silent for as long and continues is counted
 * from its start again.
 *
 * Returns {"deleted": {table: rows}, "more"}; call again while `more`. Errors: CQ005.
 */
create or replace function public.delete_old_rows(days jsonb, batch_size integer default 1000) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at constant timestamptz := clock_timestamp();
    cutoff jsonb;
    ended uuid[];
    counts jsonb := '{}';
    changed integer;
begin
    if jsonb_typeof(delete_old_rows.days) is distinct from 'object'
       or jsonb_path_exists(delete_old_rows.days, '$.* ? (!(@ == null || @.type() == "number" && @ >= 1 && @ <= 36500))')
       or exists (select from jsonb_object_keys(delete_old_rows.days) as k (name) where k.name not in (
           'workers', 'heartbeats', 'operations', 'dead_letters', 'alerts', 'numbers', 'measures', 'deduplication',
           'gate_runs', 'expired_artifacts')) then
        perform cogo_internal.invalid_argument('days must be an object such as {"workers": 30}, with numbers from 1 to 36500.');
    end if;
    if least((delete_old_rows.days ->> 'measures')::double precision,
             (delete_old_rows.days ->> 'deduplication')::double precision) < 8 then
        perform cogo_internal.invalid_argument('measures and deduplication must be at least 8 days: functions read them for that long.');
    end if;
    if delete_old_rows.batch_size is null or delete_old_rows.batch_size not between 1 and 10000 then
        perform cogo_internal.invalid_argument('batch_size must be 1 to 10000.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('cogo.roll_up_jobs', 0));  -- it adds up the counters of workers, too
    select jsonb_object_agg(d.key, at - make_interval(secs => 86400 * d.value::double precision)) into cutoff
    from jsonb_each_text(delete_old_rows.days) d where d.value is not null;

    if cutoff ? 'workers' then
        perform cogo_internal.add_ended_workers((cutoff ->> 'workers')::timestamptz);
        ended := array(
            select w.instance_id from public.workers w
            where coalesce(w.stopped_at, w.last_heartbeat_at) < (cutoff ->> 'workers')::timestamptz
              and not exists (select from public.worker_metrics m where m.instance_id = w.instance_id and not m.in_totals)
              and not exists (select from public.jobs j where j.status = 'running' and j.instance_id = w.instance_id)
            order by w.instance_id limit delete_old_rows.batch_size
            for update skip locked);
        delete from public.worker_metrics m where m.instance_id = any (ended);
        delete from public.workers w where w.instance_id = any (ended);
        counts := counts || jsonb_build_object('workers', cardinality(ended));
        delete from public.worker_devices d where d.worker_id in (
            select old.worker_id from public.worker_devices old
            where old.last_seen_at < (cutoff ->> 'workers')::timestamptz
              and not exists (select from public.workers w where w.worker_id = old.worker_id)
            order by old.worker_id limit delete_old_rows.batch_size for update skip locked);
        get diagnostics changed = row_count;
        counts := counts || jsonb_build_object('worker_devices', changed);
        delete from public.executors e where e.id in (
            select old.id from public.executors old where old.last_seen_at < (cutoff ->> 'workers')::timestamptz
            order by old.id limit delete_old_rows.batch_size for update skip locked);
        get diagnostics changed = row_count;
        counts := counts || jsonb_build_object('executors', changed);
    end if;
    delete from public.worker_heartbeats h where h.id in (
        select old.id from public.worker_heartbeats old where old.created_at < (cutoff ->> 'heartbeats')::timestamptz
        order by old.id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('worker_heartbeats', changed);
    delete from public.operations_log l where l.ctid = any (array(
        select old.ctid from public.operations_log old where old.created_at < (cutoff ->> 'operations')::timestamptz
        order by old.created_at limit delete_old_rows.batch_size for update skip locked));
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('operations_log', changed);
    delete from public.bulk_action_jobs b where (b.action_id, b.job_id) in (
        select old.action_id, old.job_id from public.bulk_action_jobs old
        join public.bulk_actions a on a.id = old.action_id and a.created_at < (cutoff ->> 'operations')::timestamptz
        limit delete_old_rows.batch_size for update of old skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('bulk_action_jobs', changed);
    delete from public.bulk_actions b where b.id in (
        select old.id from public.bulk_actions old where old.created_at < (cutoff ->> 'operations')::timestamptz
          and not exists (select from public.bulk_action_jobs j where j.action_id = old.id)
        order by old.created_at limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('bulk_actions', changed);
    delete from public.jobs_dlq d where d.ctid = any (array(
        select old.ctid from public.jobs_dlq old
        where old.failed_at < (cutoff ->> 'dead_letters')::timestamptz
          and (old.superseded or old.closed_at is not null or old.replayed_at is not null)
        order by old.failed_at limit delete_old_rows.batch_size for update skip locked));
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('jobs_dlq', changed);
    -- `skip locked`: a delivery that is being sent or replayed stays, and its alert with it.
    delete from public.alert_deliveries d where (d.alert_id, d.target) in (
        select old.alert_id, old.target from public.alert_deliveries old join public.alerts a on a.id = old.alert_id
        where a.last_seen_at < (cutoff ->> 'alerts')::timestamptz and a.status <> 'firing'
        order by a.last_seen_at, old.alert_id, old.target limit delete_old_rows.batch_size for update of old skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('alert_deliveries', changed);
    delete from public.alerts a where a.id in (
        select old.id from public.alerts old
        where old.last_seen_at < (cutoff ->> 'alerts')::timestamptz and old.status <> 'firing'
          and not exists (select from public.alert_deliveries d where d.alert_id = old.id)
        order by old.last_seen_at, old.id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('alerts', changed);
    delete from public.alert_silences s where s.id in (
        select old.id from public.alert_silences old where old.ends_at < (cutoff ->> 'alerts')::timestamptz
        order by old.id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('alert_silences', changed);
    delete from public.run_failures f where f.ctid = any (array(
        select old.ctid from public.run_failures old
        where old.recorded_at < (cutoff ->> 'alerts')::timestamptz and old.promoted_at is not null
        order by old.recorded_at limit delete_old_rows.batch_size for update skip locked));
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('run_failures', changed);
    -- The sums first, and no period before its sums: gate_summary takes periods without them for uncounted.
    delete from public.job_period_sums s where (s.hours, s.starts_at) in (
        select old.hours, old.starts_at from public.job_period_sums old where old.starts_at < (cutoff ->> 'numbers')::timestamptz
        order by old.starts_at limit delete_old_rows.batch_size);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('job_period_sums', changed);
    delete from public.job_periods p where p.starts_at in (
        select old.starts_at from public.job_periods old
        where old.starts_at < (cutoff ->> 'numbers')::timestamptz
          and old.starts_at < coalesce((select min(s.starts_at) from public.job_period_sums s), 'infinity')
        order by old.starts_at limit delete_old_rows.batch_size);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('job_periods', changed);
    delete from public.job_measures m where (m.hours, m.starts_at) in (
        select old.hours, old.starts_at from public.job_measures old where old.starts_at < (cutoff ->> 'measures')::timestamptz
        order by old.starts_at limit delete_old_rows.batch_size);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('job_measures', changed);
    delete from public.ended_claims e where e.claim_id in (
        select old.claim_id from public.ended_claims old where old.ended_at < (cutoff ->> 'deduplication')::timestamptz
        order by old.claim_id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('ended_claims', changed);
    delete from public.alert_promotions p where (p.source, p.key) in (
        select old.source, old.key from public.alert_promotions old
        where old.source in ('gate_runs', 'workers') and old.promoted_at < (cutoff ->> 'deduplication')::timestamptz
        order by old.source, old.key limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('alert_promotions', changed);
    delete from public.gate_runs g where g.id in (
        select old.id from public.gate_runs old where old.created_at < (cutoff ->> 'gate_runs')::timestamptz
        order by old.created_at, old.id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('gate_runs', changed);
    delete from public.gate_snapshots s where (s.kind, s.branch, s.window_start) in (
        select old.kind, old.branch, old.window_start from public.gate_snapshots old
        where old.window_end < (cutoff ->> 'gate_runs')::timestamptz
        order by old.kind, old.branch, old.window_start limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('gate_snapshots', changed);
    delete from public.weekly_summaries s where (s.branch, s.window_start) in (
        select old.branch, old.window_start from public.weekly_summaries old
        where old.window_end < (cutoff ->> 'gate_runs')::timestamptz
        order by old.branch, old.window_start limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('weekly_summaries', changed);
    update public.artifacts a set status = 'orphaned' where a.id in (
        select old.id from public.artifacts old
        where old.status = 'expired' and old.created_at < (cutoff ->> 'expired_artifacts')::timestamptz
        order by old.id limit delete_old_rows.batch_size for update skip locked);
    get diagnostics changed = row_count;
    counts := counts || jsonb_build_object('artifacts', changed);
    return jsonb_build_object('deleted', counts, 'more', exists (
        select from jsonb_each_text(counts) c where c.value::integer >= delete_old_rows.batch_size));
end $$;

comment on function public.delete_old_rows is 'Delete what has passed its retention period.';
