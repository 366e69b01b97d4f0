/*
 * A dead-lettered job as lists show it. `replays`: how many replays led to it.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.dead_letter_row(entry public.jobs_dlq) returns jsonb
language sql stable as $$
    select pg_catalog.jsonb_build_object(
        'job_id', entry.job_id, 'type', entry.type, 'subject', cogo_internal.payload_subject(entry.payload), 'executor_id', entry.executor_id, 'attempts', entry.attempts,
        'max_attempts', entry.max_attempts, 'reason', entry.reason, 'error', entry.error,
        'fingerprint', entry.fingerprint, 'code_version', entry.code_version,
        'failed_at', entry.failed_at, 'replays', cogo_internal.replay_count(entry.job_id), 'replayed_at', entry.replayed_at,
        'replayed_job_id', entry.replayed_job_id, 'closed_at', entry.closed_at,
        'discarded_at', entry.discarded_at, 'discard_reason', entry.discard_reason)
$$;

comment on function cogo_internal.dead_letter_row is 'The document a list returns for one dead-lettered job.';
