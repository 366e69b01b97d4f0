"""The catalogue of the engine's SQL functions: names, argument names and their SQL types.

A test holds it against the database; the transports and the reference page read it.
"""

from collections.abc import Mapping

FUNCTIONS: Mapping[str, Mapping[str, str]] = {
    "cancel_job": {"job_id": "uuid"},
    "claim_jobs": {
        "claim_id": "uuid",
        "families": "jsonb",
        "worker_id": "text",
        "instance_id": "uuid",
        "executor_id": "text",
        "lease_seconds": "integer",
        "max_jobs": "integer",
        "idle": "boolean",
    },
    "claim_one_job": {"executor_id": "text", "worker_id": "text", "lease_seconds": "integer"},
    "complete_job": {"job_id": "uuid", "lease_token": "uuid", "result": "jsonb"},
    "create_artifacts": {"job_id": "uuid", "lease_token": "uuid", "artifacts": "jsonb"},
    "delete_artifacts": {"artifact_ids": "jsonb"},
    "enqueue_jobs": {"jobs": "jsonb", "request_id": "uuid"},
    "fail_job": {
        "job_id": "uuid",
        "lease_token": "uuid",
        "error": "jsonb",
        "retryable": "boolean",
        "delay_seconds": "double precision",
    },
    "finish_artifacts": {"job_id": "uuid", "lease_token": "uuid", "artifact_ids": "jsonb"},
    "get_jobs": {"job_ids": "jsonb"},
    "list_abandoned_artifacts": {"grace_seconds": "integer", "max_artifacts": "integer"},
    "list_artifacts": {"job_id": "uuid", "status": "text", "max_artifacts": "integer"},
    "list_dlq": {"type_prefix": "text", "open_only": "boolean", "max_jobs": "integer"},
    "list_heartbeats": {"worker_id": "text", "max_heartbeats": "integer"},
    "list_jobs": {
        "statuses": "jsonb",
        "type_prefix": "text",
        "executor_id": "text",
        "since_seconds": "double precision",
        "before_id": "uuid",
        "max_jobs": "integer",
    },
    "list_workers": {"alive_only": "boolean", "max_workers": "integer"},
    "queue_stats": {"executor_id": "text", "count_limit": "integer"},
    "record_heartbeat": {"instance_id": "uuid", "running": "integer", "metrics": "jsonb"},
    "recover_leases": {"batch_size": "integer"},
    "register_worker": {
        "instance_id": "uuid",
        "worker_id": "text",
        "families": "jsonb",
        "executor_id": "text",
        "concurrency": "integer",
        "pid": "integer",
        "code_version": "text",
        "dagster_run_id": "text",
        "device": "jsonb",
    },
    "renew_leases": {"leases": "jsonb", "lease_seconds": "integer"},
    "requeue_instance": {"instance_id": "uuid"},
    "requeue_job": {"job_id": "uuid", "lease_token": "uuid"},
    "schema_version": {},
    "settle_jobs": {"settlements": "jsonb"},
    "snooze_job": {"job_id": "uuid", "lease_token": "uuid", "delay_seconds": "double precision"},
    "start_jobs": {"instance_id": "uuid", "job_ids": "jsonb"},
    "stop_worker": {"instance_id": "uuid"},
}
