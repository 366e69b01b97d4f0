/*
 * Settle successful attempts, fenced by lease token. Costs less than settle_jobs, which takes documents.
 *
 * job_ids, lease_tokens, run_seconds  One element for each attempt.
 * results       An array of as many results, or null if no attempt has one.
 *
 * Returns null if all were settled; otherwise what settle_jobs returns for the same attempts. Errors: CQ005.
 *
 * `lease_expires_at is not null` means running: see settle_jobs. The generic plan is forced because a custom plan reverses
 * the join if few jobs were running when the table was analyzed: 45 ms per call instead of 5. The limit, which removes nothing, lowers the estimated number of
 * attempts to 10: with 100, a table of 5,000 jobs was scanned for each of them, 130 ms per call.
 */
create or replace function public.succeed_jobs(
    job_ids uuid[], lease_tokens uuid[], run_seconds double precision[], results jsonb default null
) returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    at timestamptz := clock_timestamp();
    attempt_count integer := cardinality(succeed_jobs.job_ids);
    recorded integer;
begin
    if attempt_count is null or cardinality(succeed_jobs.lease_tokens) is distinct from attempt_count
       or cardinality(succeed_jobs.run_seconds) is distinct from attempt_count
       or jsonb_array_length(succeed_jobs.results) <> attempt_count then
        perform cogo_internal.invalid_argument('job_ids, lease_tokens, run_seconds and results must be arrays of the same length.');
    end if;

    -- Rows are locked in the order of their ids, so that two calls for the same jobs cannot deadlock.
    with item as materialized (
        select ended.job_id, ended.lease_token,
            case when ended.run_seconds between 0 and 31536000 then ended.run_seconds end as run_seconds,
            case when ended.result is null or ended.result = 'null' then null
                when cogo_internal.is_small_json(ended.result) then ended.result
                else cogo_internal.checked_json(ended.result, 'The result') end as result
        from rows from (unnest(succeed_jobs.job_ids, succeed_jobs.lease_tokens, succeed_jobs.run_seconds),
                        jsonb_array_elements(succeed_jobs.results)) as ended (job_id, lease_token, run_seconds, result)
        order by ended.job_id
        limit attempt_count  -- see above
    )
    update public.jobs j set
        status = 'succeeded',
        lease_expires_at = null,
        lost_attempts = 0,
        started_at = coalesce(j.started_at, at - make_interval(secs => item.run_seconds)),
        finished_at = at,
        run_seconds = item.run_seconds,
        result = item.result,
        error = null
    from item
    where j.id = item.job_id and j.lease_token = item.lease_token and j.lease_expires_at is not null;
    get diagnostics recorded = row_count;
    if recorded = attempt_count then
        return null;
    end if;

    -- Some were settled before, or lost their lease. For settle_jobs, those settled above are repeated calls.
    return public.settle_jobs((
        select jsonb_agg(jsonb_build_object('job_id', ended.job_id, 'lease_token', ended.lease_token, 'outcome', 'succeeded',
                                            'run_seconds', ended.run_seconds, 'result', ended.result)
                         order by ended.position)
        from rows from (unnest(succeed_jobs.job_ids, succeed_jobs.lease_tokens, succeed_jobs.run_seconds),
                        jsonb_array_elements(succeed_jobs.results))
            with ordinality as ended (job_id, lease_token, run_seconds, result, position)));
end $$;

comment on function public.succeed_jobs is 'Settle successful attempts, fenced by lease token.';
