"""Calls for operators, and statistics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from cogo_dagster.queue.errors import SchemaOutOfDate
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Json, JsonValue
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.rows.operations import OperationRow, PausedChange, PausedRow, ResumedChange
from cogo_dagster.queue.rows.stats import DatabaseHealth, HealthFacts, HeldSnapshot, QueueStats, SchemaVersion
from cogo_dagster.queue.transports.base import Transport, without_none


class OperatorCalls:
    """Calls for operators."""

    _transport: Transport

    def operate(self, function: str, arguments: Mapping[str, object]) -> Json:
        """Call a bulk function once; see `queue.bulk`, which calls it in batches."""
        return self._transport.call(function, arguments)

    def pause(self, kind: str, name: str, *, reason: str | None = None, actor: str) -> PausedChange:
        """Pause claims of a `type`, or of an `executor` ID."""
        return PausedChange.model_validate(
            self._transport.call("pause", {"kind": kind, "name": name, "reason": reason, "actor": actor})
        )

    def resume(self, kind: str, name: str, *, actor: str) -> ResumedChange:
        """End a pause."""
        return ResumedChange.model_validate(
            self._transport.call("resume", {"kind": kind, "name": name, "actor": actor})
        )

    def note(self, operation: str, actor: str, **done_to: JsonValue) -> None:
        """Record an operation in `operations_log` that no other function records."""
        self._transport.call(
            "note_operation",
            {"note_id": str(new_request_id()), "operation": operation, "actor": actor, "filter": done_to},
        )

    def list_operations(
        self,
        *,
        operation: str | None = None,
        since_seconds: float | None = None,
        before: Cursor | None = None,
        max_operations: int = 50,
    ) -> list[OperationRow]:
        """Return the operations log, newest first.

        Args:
            before: `created_at` and `id` of the last row of the previous page.
        """
        rows = self._transport.call(
            "list_operations",
            without_none(
                operation=operation,
                since_seconds=since_seconds,
                before=before and dict(before),
                max_operations=max_operations,
            ),
        )
        return read_list(OperationRow, rows)

    def list_paused(self) -> list[PausedRow]:
        """Return the pauses, newest first."""
        return read_list(PausedRow, self._transport.call("list_paused", {}))

    def stats(self, executor_id: str | None = None) -> QueueStats:
        """Return the queue's statistics; see the SQL function `queue_stats`."""
        return QueueStats.model_validate(self._transport.call("queue_stats", {"executor_id": executor_id}))

    def roll_up(self) -> None:
        """Store the numbers of finished jobs, for days and weeks; see the SQL function `roll_up_jobs`."""
        self._transport.call("roll_up_jobs", {})

    def delete_old_rows(self, days: Mapping[str, float | None]) -> dict[str, int]:
        """Delete what has passed its retention period, and return the number of rows by table.

        Args:
            days: The retention periods; see the SQL function `delete_old_rows`. None keeps the rows.
        """
        deleted: Counter[str] = Counter()
        while True:
            answer = self._transport.call("delete_old_rows", {"days": dict(days)})
            deleted.update(answer["deleted"])
            if not answer["more"]:
                return dict(deleted)

    def database_health(self) -> DatabaseHealth:
        """Return statistics of the database that show a slowdown before failures."""
        return DatabaseHealth.model_validate(self._transport.call("database_health", {}))

    def held_snapshot(self, min_seconds: float = 60) -> HeldSnapshot | None:
        """Return what has held back vacuum for at least this time; None if nothing has."""
        held = self._transport.call("held_snapshot", {"min_seconds": min_seconds})
        return None if held is None else HeldSnapshot.model_validate(held)

    def health_facts(self, key_ids: Sequence[str]) -> HealthFacts:
        """Return the facts that `cogo doctor` checks.

        Args:
            key_ids: IDs of the vault keys that the caller has.
        """
        return HealthFacts.model_validate(self._transport.call("health_facts", {"key_ids": list(key_ids)}))

    def count_operation(self, function: str, arguments: Mapping[str, Json]) -> int | None:
        """Return how many rows a bulk operation will read, at most 1,000,000; None if it is unknown."""
        counted: int | None = self._transport.call(
            "count_operation", {"operation": function, "arguments": dict(arguments)}
        )["count"]
        return counted

    def first_day(self) -> date:
        """Return the first UTC day of the numbers of days and weeks."""
        return date.fromisoformat(self._transport.call("first_day", {})["first_day"])

    def schema_version(self) -> SchemaVersion:
        """Return the release of the database's schema, and the deployment's ID.

        Raises:
            SchemaOutOfDate: The database was never migrated.
        """
        result = self._transport.call("schema_version", {})
        if result is None:
            raise SchemaOutOfDate("The database has no COGO schema: run `cogo db migrate`.")
        return SchemaVersion.model_validate(result)
