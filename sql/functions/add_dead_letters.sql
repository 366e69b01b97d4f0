/*
 * Dead-letter jobs that have just failed permanently, from their current rows: the caller has locked them.
 * A job that failed before and was retried keeps one open row, which is updated to its last failure.
 *
 * reasons     per job: permanent, out_of_attempts, snoozed_too_often, crashed
 *
 * The settings are those of settle_jobs, for the same reason.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.add_dead_letters(job_ids uuid[], reasons text[], failed_at timestamptz) returns void
language plpgsql set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
    insert into public.jobs_dlq (job_id, type, payload, executor_id, priority, max_attempts, timeout_seconds, attempts,
                                 reason, error, failed_at, created_at, code_version)
    select j.id, j.type, j.payload, j.executor_id, j.priority, j.max_attempts, j.timeout_seconds, j.attempts,
           dead.reason, j.error, add_dead_letters.failed_at, add_dead_letters.failed_at,
           (select w.code_version from public.workers w where w.instance_id = j.instance_id)
    from unnest(add_dead_letters.job_ids, add_dead_letters.reasons) as dead (job_id, reason)
    join public.jobs j on j.id = dead.job_id
    order by j.id
    on conflict (job_id) where not superseded do update set
        attempts = excluded.attempts, max_attempts = excluded.max_attempts, reason = excluded.reason, error = excluded.error,
        failed_at = excluded.failed_at, code_version = excluded.code_version, closed_at = null,
        discarded_at = null, discard_reason = null, discard_id = null;
end $$;

comment on function cogo_internal.add_dead_letters is 'Add permanently failed jobs to the dead-letter queue.';
