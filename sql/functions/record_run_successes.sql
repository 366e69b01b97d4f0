/*
 * Resolve alerts about Dagster jobs that have succeeded since: an op by its name or, if op_name is null, the whole run,
 * which resolves every alert of that Dagster job. Only a success after the last failure counts.
 *
 * successes   [{"job_name", "op_name" or null, "run_id", "seconds_ago" of the run's start}]
 *
 * Returns {"resolved"}. Errors: CQ005.
 */
create or replace function public.record_run_successes(successes jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
begin
    if jsonb_typeof(record_run_successes.successes) is distinct from 'array' then
        perform cogo_internal.invalid_argument('successes must be an array.');
    end if;
    -- evaluate_alerts locks alerts in another order: one of the two at a time.
    perform pg_advisory_xact_lock(hashtextextended('cogo promote_alerts', 0));
    return jsonb_build_object('resolved', cogo_internal.resolve_alerts(
        array(select a.id from public.alerts a
              join jsonb_to_recordset(record_run_successes.successes) as g (
                  job_name text, op_name text, run_id text, seconds_ago double precision)
                on a.subject = g.job_name and (g.op_name is null or a.refs ->> 'op_name' = g.op_name)
               and a.last_seen_at < at - make_interval(secs => coalesce(g.seconds_ago, 0))
              where a.kind = 'run_failed' and a.status = 'firing'
                and not exists (select from public.run_failures f where f.promoted_at is null and f.job_name = g.job_name)),
        'It succeeded again.'));
end $$;

comment on function public.record_run_successes is 'Resolve alerts about Dagster jobs that have succeeded since.';
