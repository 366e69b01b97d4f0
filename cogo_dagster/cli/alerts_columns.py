"""The columns of `cogo alerts`."""

from cogo_dagster.cli.tables import Column, Row, column
from cogo_dagster.cli.words import NOTHING, distance


def _state(row: Row) -> str:
    held = "silenced" if row["silenced"] else "held back" if row["inhibited"] else ""
    return f"{row['status']}, {held}" if held else str(row["status"])


def _told(row: Row) -> str:
    return ", ".join(f"{one['target']} {one['status']}" for one in row["deliveries"]) or NOTHING


def _target_state(row: Row) -> str:
    return "disabled" if row["disabled"] else "healthy" if row["healthy"] else "failing"


def _error(row: Row, key: str) -> str:
    error = row[key]
    return f"{error['class']}: {error['message']}" if error else NOTHING


ALERTS = (
    column("fingerprint", whole=True),
    Column("status", _state, whole=True),
    column("count", whole=True),
    Column("first", lambda row: distance(row["first_seen_at"]), whole=True),
    Column("last", lambda row: distance(row["last_seen_at"]), whole=True),
    column("title"),
    Column("told", _told),
    column("error", "error_message"),
)
DELIVERIES = (
    column("alert", "alert_id", whole=True),
    column("target", whole=True),
    column("status", whole=True),
    column("event", whole=True),
    column("attempts", whole=True),
    Column("told", lambda row: distance(row["announced_at"]), whole=True),
    Column("next try", lambda row: distance(row["next_attempt_at"]), whole=True),
    column("title"),
    Column("error", lambda row: _error(row, "error")),
)
HEALTH = (
    column("target", whole=True),
    Column("state", _target_state, whole=True),
    column("delivered", whole=True),
    column("pending", whole=True),
    column("dead", whole=True),
    Column("last success", lambda row: distance(row["last_success_at"]), whole=True),
    Column("next try", lambda row: distance(row["retry_at"]), whole=True),
    Column("last error", lambda row: _error(row, "last_error")),
)
SILENCES = (
    column("id", whole=True),
    Column("ends", lambda row: distance(row["ends_at"]), whole=True),
    column("fingerprint"),
    column("kind"),
    column("subject", "subject_prefix"),
    column("by", "author"),
    column("reason"),
)
