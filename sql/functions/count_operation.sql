/*
 * How many rows an operators' operation will read, for a progress bar: at most 1,000,000, and not fewer than it changes.
 *
 * operation   purge_jobs, cleanup_artifacts, retry_failed, replay_dlq or discard_dlq
 * arguments   as the function takes them: its filters
 *
 * Returns {"count"}: null for another operation, and for one that names its rows. Errors: none.
 */
create or replace function public.count_operation(operation text, arguments jsonb default '{}') returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    max_count constant integer := 1000000;
    at constant timestamptz := clock_timestamp();
    cutoff constant timestamptz := at - make_interval(secs => least((arguments ->> 'older_than_days')::double precision, 36500) * 86400);
    since constant timestamptz := at - make_interval(secs => (arguments ->> 'since_seconds')::double precision);
    type_prefix constant text := arguments ->> 'type_prefix';
    found bigint;
begin
    if jsonb_typeof(arguments -> 'job_ids') = 'array' or jsonb_typeof(arguments -> 'items') = 'array' then
        return '{"count": null}';
    end if;
    case count_operation.operation
        when 'purge_jobs' then
            select sum(s.n) into found
            from (select count(*) as n from (
                      select from public.jobs j
                      where j.status = 'succeeded' and arguments -> 'statuses' ? 'succeeded' and j.finished_at <= cutoff
                      limit max_count) q
                  union all
                  select count(*) from (
                      select from public.jobs j
                      where j.status in ('failed', 'cancelled') and arguments -> 'statuses' ? j.status and j.finished_at <= cutoff
                      limit max_count) q) s;
        when 'cleanup_artifacts' then
            select count(*) into found from (
                select from public.artifacts a
                where a.status = 'ready' and coalesce(a.expires_at, a.created_at) <= case when a.expires_at is null then cutoff else at end
                limit max_count) q;
        when 'retry_failed' then
            select count(*) into found from (
                select from public.jobs j
                where j.status = 'failed'
                  and (type_prefix is null or starts_with(j.type, type_prefix))
                  and (count_operation.arguments ->> 'executor_id' is null or j.executor_id = count_operation.arguments ->> 'executor_id')
                  and (since is null or j.finished_at >= since)
                limit max_count) q;
        when 'replay_dlq', 'discard_dlq' then
            select count(*) into found from (
                select from public.jobs_dlq d
                where not d.superseded and d.closed_at is null and d.replayed_at is null
                  and (type_prefix is null or starts_with(d.type, type_prefix))
                  and (count_operation.arguments ->> 'executor_id' is null or d.executor_id = count_operation.arguments ->> 'executor_id')
                  and (since is null or d.failed_at >= since)
                  and (arguments ->> 'fingerprint' is null or d.fingerprint = arguments ->> 'fingerprint')
                limit max_count) q;
        else
            null;
    end case;
    return jsonb_build_object('count', least(found, max_count));
end $$;

comment on function public.count_operation is 'How many rows an operation will read, for a progress bar.';
