/*
 * A dead letter as lists show it. `replays`: how many replays it has behind it.
 *
 * Internal: other functions call it.
 */
create or replace function cogo_internal.dead_letter_row(letter public.jobs_dlq) returns jsonb
language sql stable as $$
    select pg_catalog.jsonb_build_object(
        'job_id', letter.job_id, 'type', letter.type, 'executor_id', letter.executor_id, 'attempts', letter.attempts,
        'max_attempts', letter.max_attempts, 'reason', letter.reason, 'error', letter.error,
        'fingerprint', letter.fingerprint, 'code_version', letter.code_version,
        'failed_at', letter.failed_at, 'replays', cogo_internal.replay_count(letter.job_id), 'replayed_at', letter.replayed_at,
        'replayed_job_id', letter.replayed_job_id, 'closed_at', letter.closed_at)
$$;

comment on function cogo_internal.dead_letter_row is 'The document a list returns for one dead letter.';
