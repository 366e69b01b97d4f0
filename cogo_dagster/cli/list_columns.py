"""The columns of `cogo list`."""

from cogo_dagster.cli.tables import Column, Row, column
from cogo_dagster.cli.words import NOTHING, distance, error_line, size, until


def _attempts(row: Row) -> str:
    return f"{row['attempts']}/{row['max_attempts']}"


def _next_run(row: Row) -> str:
    return until(row["next_run_at"]) if row["status"] == "queued" else NOTHING


def _state(row: Row) -> str:
    if row["stopped_at"]:
        return "stopped"
    return "alive" if row["alive"] else "silent"


def _counted(row: Row) -> str:
    counters = row["counters"] or {}
    if not isinstance(counters, dict):
        return "unreadable: no counters"
    return " ".join(f"{name} {count}" for name, count in sorted(counters.items()) if count) or NOTHING


def _replayed(row: Row) -> str:
    return distance(row["replayed_at"] or row["closed_at"])


JOBS = (
    column("id", whole=True),
    column("type"),
    Column("status", lambda row: f"{row['status']} (forced)" if row.get("forced") else str(row["status"]), whole=True),
    Column("attempts", _attempts, whole=True),
    Column("next run", _next_run, whole=True),
    Column("created", lambda row: distance(row["created_at"]), whole=True),
    Column("error", lambda row: error_line(row["error"])),
)
WHY = (*JOBS[:4], Column("why", lambda row: str(row["why"])))
ARTIFACTS = (
    column("job", "job_id", whole=True),
    column("name"),
    column("status"),
    Column("size", lambda row: size(row["size_bytes"]), whole=True),
    Column("made", lambda row: distance(row["created_at"])),
    column("address"),
)
WORKERS = (
    column("worker", "worker_id"),
    Column("state", _state, whole=True),
    Column("running", lambda row: f"{row['running']}/{row['concurrency']}", whole=True),
    Column("families", lambda row: ", ".join(str(family) for family in row["families"])),
    column("executor", "executor_id"),
    Column("started", lambda row: distance(row["started_at"])),
    Column("heartbeat", lambda row: distance(row["last_heartbeat_at"])),
    column("instance", "instance_id", whole=True),
)
HEARTBEATS = (
    column("worker", "worker_id"),
    column("instance", "instance_id", whole=True),
    Column("at", lambda row: distance(row["created_at"]), whole=True),
    column("running"),
    Column("counters", _counted),
)
DLQ = (
    column("job", "job_id", whole=True),
    column("type"),
    Column("attempts", _attempts, whole=True),
    column("reason"),
    column("replays", whole=True),
    Column("failed", lambda row: distance(row["failed_at"]), whole=True),
    Column("replayed", _replayed),
    Column("error", lambda row: error_line(row["error"])),
)
INCIDENTS = (
    column("fingerprint", whole=True),
    column("count", whole=True),
    column("type"),
    Column("first", lambda row: distance(row["first_failed_at"]), whole=True),
    Column("last", lambda row: distance(row["last_failed_at"]), whole=True),
    Column("error", lambda row: f"{row['class']}: {row['message']}"),
)
PAUSED = (
    column("kind", whole=True),
    column("name", whole=True),
    Column("since", lambda row: distance(row["paused_at"]), whole=True),
    column("by", "actor"),
    column("reason"),
)
LIMITS = (
    column("name", whole=True),
    Column("open again", lambda row: distance(row["open_until"]), whole=True),
    column("reason"),
)
OPERATIONS = (
    Column("at", lambda row: distance(row["created_at"]), whole=True),
    column("operation", whole=True),
    column("by", "actor"),
    column("changed", whole=True),
    column("skipped", whole=True),
    column("filter"),
)
