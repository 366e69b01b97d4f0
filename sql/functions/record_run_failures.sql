/*
 * Record failed Dagster runs for evaluate_alerts: one row per run, from whichever of the hook, the sensor and the later
 * scan reports it first, so that no run is counted twice.
 *
 * failures   [{"run_id", "job_name", "op_name" or null, "error_class", "error_message", "failed_seconds_ago"}], redacted by
 *            the caller
 *
 * Returns {"recorded"}. Errors: CQ005.
 */
create or replace function public.record_run_failures(failures jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    recorded integer;
begin
    if jsonb_typeof(record_run_failures.failures) is distinct from 'array'
       or jsonb_array_length(record_run_failures.failures) > 1000 then
        perform cogo_internal.invalid_argument('failures must be an array of at most 1,000 objects.');
    end if;
    insert into public.run_failures as f (run_id, job_name, op_name, error_class, error_message, failed_at, recorded_at)
    select distinct on (g.run_id)
        case when g.run_id is null or g.job_name is null
             then cogo_internal.invalid_argument('Each failure needs a run_id and a job_name.')::text else left(g.run_id, 200) end,
        left(g.job_name, 200), left(g.op_name, 200), coalesce(left(g.error_class, 200), 'unknown'), left(g.error_message, 1000),
        at - make_interval(secs => greatest(coalesce(g.failed_seconds_ago, 0), 0)), at
    from jsonb_to_recordset(record_run_failures.failures) as g (
        run_id text, job_name text, op_name text, error_class text, error_message text, failed_seconds_ago double precision)
    order by g.run_id, g.op_name nulls last
    on conflict (run_id) do nothing;
    get diagnostics recorded = row_count;
    return jsonb_build_object('recorded', recorded);
end $$;

comment on function public.record_run_failures is 'Record failed Dagster runs, each once.';
