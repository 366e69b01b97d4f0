"""Mutations of the SQL functions."""

from typing import Final

from cogo_dagster_tests.mutations.mutation import Mutation

SQL: Final = "sql/functions/"
CONFORMANCE: Final = "cogo_dagster_tests/queue/conformance/"
RACES: Final = "cogo_dagster_tests/sql/test_races.py"


def _sql(name: str, function: str, old: str, new: str, *tests: str) -> Mutation:
    found = tuple(test if "/" in test else f"{CONFORMANCE}test_{test}.py" for test in tests)
    return Mutation(name, f"{SQL}{function}.sql", old, new, found)


SQL_MUTATIONS: Final = (
    _sql(
        "a stale worker settles",
        "settle_jobs",
        "and j.lease_token = i.lease_token and j.lease_expires_at is not null\n        returning",
        "and j.lease_expires_at is not null\n        returning",
        "fence",
    ),
    _sql(
        "a stale worker succeeds",
        "succeed_jobs",
        "and j.lease_token = item.lease_token and j.lease_expires_at is not null",
        "and j.lease_expires_at is not null",
        "fence",
    ),
    _sql(
        "a success is not checked",
        "succeed_jobs",
        "    if recorded = attempt_count then",
        "    if true then",
        "fence",
    ),
    _sql(
        "a cursor skips other priorities",
        "claim_jobs",
        "case when level.priority = after_priority then after_time else '-infinity' end",
        "coalesce(after_time, '-infinity')",
        "columns",
    ),
    _sql(
        "a stale worker renews",
        "renew_leases",
        "where j.lease_token = i.lease_token and j.lease_expires_at is not null",
        "where j.lease_expires_at is not null",
        "renew",
    ),
    _sql(
        "a stale worker announces files",
        "create_artifacts",
        "and j.lease_token = create_artifacts.lease_token and j.status = 'running'",
        "and j.status = 'running'",
        "artifacts",
    ),
    _sql(
        "a stale worker finishes files",
        "finish_artifacts",
        "and j.lease_token = finish_artifacts.lease_token and j.status = 'running'",
        "and j.status = 'running'",
        "artifacts",
        RACES,
    ),
    _sql(
        "an upload after the end of the attempt is accepted",
        "create_artifacts",
        "j.lease_token = create_artifacts.lease_token and j.status = 'running'",
        "j.lease_token = create_artifacts.lease_token",
        "artifacts",
    ),
    _sql(
        "files of a running attempt are unknown objects",
        "list_unknown_objects",
        "and j.lease_expires_at is not null)",
        "and false)",
        "artifacts",
    ),
    _sql("attempts are not counted", "claim_jobs", "attempts = j.attempts + 1", "attempts = j.attempts", "claim"),
    _sql("a claim cannot be repeated", "claim_jobs", "if result is null then", "if true then", "claim"),
    _sql(
        "an ended claim returns more jobs",
        "claim_jobs",
        "if result is null and exists (select from public.ended_claims e where e.claim_id = claim_jobs.claim_id) then",
        "if false then",
        "lost_attempts",
    ),
    _sql(
        "jobs of the future are claimed",
        "claim_jobs",
        "j.executor_id is null\n                          and j.priority = level.priority and j.next_run_at <= at",
        "j.executor_id is null\n                          and j.priority = level.priority",
        "claim",
    ),
    _sql(
        "a claim exceeds max_jobs",
        "claim_jobs",
        "            limit claim_jobs.max_jobs\n",
        "",
        "claim",
    ),
    _sql(
        "a pause has no effect",
        "claim_jobs",
        "paused_types := cogo_internal.paused_types(claim_jobs.executor_id);",
        "paused_types := null;",
        "pause",
    ),
    _sql(
        "a valid lease is recovered",
        "recover_leases",
        "where j.status = 'running' and j.lease_expires_at < at\n          and (recover_leases.items",
        "where j.status = 'running'\n          and (recover_leases.items",
        "recover",
    ),
    _sql(
        "a crash does not count the attempt",
        "recover_leases",
        "when e.never_started and not j.cancel_requested then 1",
        "when not j.cancel_requested then 1",
        "recover",
    ),
    _sql(
        "a lost last attempt is retried",
        "recover_leases",
        "when j.attempts >= j.max_attempts and not e.never_started then 'failed'",
        "when false then 'failed'",
        "recover",
    ),
    _sql(
        "recovery wakes no worker",
        "recover_leases",
        "if requeued > 0 then",
        "if false then",
        "workers",
    ),
    _sql(
        "recovery does not orphan the files of a lost attempt",
        "recover_leases",
        "if cardinality(taken) > 0 then",
        "if false then",
        "artifacts",
    ),
    _sql(
        "consecutive lost attempts are not counted",
        "recover_leases",
        "else least(j.lost_attempts + 1, 32767) end",
        "else j.lost_attempts end",
        "lost_attempts",
    ),
    _sql(
        "a success does not reset the count of lost attempts",
        "settle_jobs",
        "when i.outcome = 'requeued' then j.lost_attempts else 0 end",
        "when true then j.lost_attempts else 0 end",
        "lost_attempts",
    ),
    _sql(
        "a permanent failure is retried",
        "status_after",
        "(retryable is false or attempts >= max_attempts)",
        "attempts >= max_attempts",
        "settle",
    ),
    _sql(
        "a cancel undoes a success",
        "status_after",
        "when outcome = 'succeeded' then 'succeeded'",
        "when outcome = 'succeeded' and not cancel_requested then 'succeeded'",
        "settle",
    ),
    _sql("snoozes have no limit", "status_after", "snoozes >= 99", "snoozes >= 9999", "settle"),
    _sql(
        "a snooze costs an attempt",
        "settle_jobs",
        "i.outcome in ('snoozed', 'requeued') and following.status",
        "i.outcome = 'requeued' and following.status",
        "settle",
    ),
    _sql(
        "a retry has no backoff",
        "settle_jobs",
        "cogo_internal.backoff_seconds(j.attempts)",
        "0::double precision",
        "settle",
    ),
    _sql(
        "a failed job is not dead-lettered",
        "settle_jobs",
        "if dead is not null then",
        "if false then",
        "settle",
    ),
    _sql(
        "a repeated settlement is rejected",
        "settle_jobs",
        "when j.lease_token = i.lease_token and (j.status = i.outcome",
        "when false and (j.status = i.outcome",
        "fence",
    ),
    _sql(
        "purge does not check the status again",
        "purge_jobs",
        "where j.id = any (candidates) and j.status = any (wanted) and j.finished_at <= cutoff",
        "where j.id = any (candidates)",
        RACES,
        "purge",
    ),
    _sql(
        "a dry run of a purge writes a log row",
        "purge_jobs",
        "    if purge_jobs.dry_run then\n",
        "    if purge_jobs.dry_run then\n"
        "        perform cogo_internal.log_operation(purge_jobs.action, 'purge_jobs', '{}',"
        ' \'{"matched": 0, "changed": 0, "skipped": 0}\');\n',
        "dry_runs",
    ),
    _sql(
        "a dry run of a cleanup cleans up",
        "cleanup_artifacts",
        "    if cleanup_artifacts.dry_run then\n",
        "    if false then\n",
        "dry_runs",
    ),
    _sql(
        "cleanup expires the files of a running attempt",
        "cleanup_artifacts",
        "where j.id = a.job_id and j.lease_token = a.lease_token and j.status = 'running')",
        "where false)",
        "purge",
    ),
    _sql(
        "a replayed job is replayed again",
        "replay_dlq",
        "set replayed_at = at, replayed_job_id = j.id",
        "set replayed_job_id = j.id",
        "replay",
    ),
    _sql(
        "a replay closes a row whose key other work holds",
        "replay_dlq",
        "          and cogo_internal.replay_key_holder(d) is null\n        returning",
        "        returning",
        "replay",
        "cogo_dagster_tests/sql/test_operator_races.py",
    ),
    _sql(
        "a retry leaves the row of the dead-letter queue open",
        "retry_failed",
        "set closed_at = at where",
        "set closed_at = null where",
        "retry",
    ),
    _sql(
        "a job that was replayed is retried",
        "retry_failed",
        "where d.job_id = j.id and not d.superseded and d.replayed_at is not null)\n        order",
        "where false)\n        order",
        "replay",
        "cogo_dagster_tests/sql/test_operator_races.py",
    ),
    _sql(
        "a closed row of the dead-letter queue stays closed",
        "add_dead_letters",
        "code_version = excluded.code_version, closed_at = null",
        "code_version = excluded.code_version",
        "retry",
    ),
    _sql(
        "a session never expires",
        "web_session_row",
        "session.ended_at is null and session.expires_at > clock_timestamp()",
        "session.ended_at is null",
        "access_tokens",
    ),
    _sql(
        "a revoked token is accepted",
        "use_access_token",
        "and t.revoked_at is null\n",
        "\n",
        "access_tokens",
    ),
    _sql(
        "the sweeper deletes an upload in progress",
        "list_abandoned_artifacts",
        "where j.id = a.job_id and j.lease_token = a.lease_token and j.status = 'running')",
        "where false)",
        "artifacts",
    ),
)
