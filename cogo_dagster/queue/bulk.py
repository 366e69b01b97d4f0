"""Bulk operations: one SQL function each, called in batches until no row is left.

The same function performs the operation and its dry run, which writes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Json
from cogo_dagster.release import code_version

MAX_LIMIT: Final = 1_000_000
"""The maximum for the limit of one operation; without a limit it covers every matching row."""

_BATCH: Final = 500

_NAMED: Final = 20
"""Jobs that are named for each reason why they were left out."""


@dataclass(slots=True)
class LeftOut:
    """The jobs that an operation cannot change, by reason.

    Attributes:
        counts: Numbers of jobs.
        job_ids: The first 20 of them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    job_ids: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, job_id: object) -> None:
        """Add a job."""
        self.counts[reason] += 1
        named = self.job_ids.setdefault(reason, [])
        if len(named) < _NAMED:
            named.append(str(job_id))

    def update(self, other: "LeftOut") -> None:
        """Add the jobs of another operation."""
        self.counts.update(other.counts)
        for reason, job_ids in other.job_ids.items():
            named = self.job_ids.setdefault(reason, [])
            named += job_ids[: _NAMED - len(named)]

    @property
    def document(self) -> dict[str, Json]:
        """The number of jobs and the first of them, by reason, most frequent reason first."""
        return {
            reason: {"count": count, "job_ids": self.job_ids.get(reason, [])}
            for reason, count in self.counts.most_common()
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """A bulk operation and its filters.

    Attributes:
        function: `retry_failed`, `replay_dlq`, `discard_dlq`, `undo_discard`, `recover_leases`,
            `cleanup_artifacts` or `purge_jobs`.
        arguments: Arguments of the SQL function, such as filters; None leaves one out.
    """

    function: str
    arguments: Mapping[str, Json] = field(default_factory=dict)

    @property
    def set_arguments(self) -> dict[str, Json]:
        """The arguments that are set; a replay also gets this code's release."""
        arguments = {name: value for name, value in self.arguments.items() if value is not None}
        return {"code_version": code_version()} | arguments if self.function == "replay_dlq" else arguments


@dataclass(slots=True)
class Totals:
    """The result of a bulk operation or its dry run.

    Attributes:
        matched: Rows that match.
        changed: Rows that were changed; 0 in a dry run.
        skipped: Rows that were not changed, because they changed since they were chosen or are locked, or for a reason
            in `left_out`.
        left_out: Jobs that cannot be changed, and why.
        counts: Further sums of the function: `requeued`, `same_code_version` …
        action_id: ID of the operation in `operations_log`; None for a dry run.
        items: For a dry run, the planned change of each row; for a replay, the new jobs.
    """

    matched: int = 0
    changed: int = 0
    skipped: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    items: list[Json] = field(default_factory=list)
    action_id: str | None = None
    left_out: LeftOut = field(default_factory=LeftOut)

    def add(self, result: Mapping[str, Json]) -> None:
        """Add the result of one batch."""
        numbers = {name: n for name, n in result.items() if type(n) is int}
        self.matched += numbers.pop("matched")
        self.changed += numbers.pop("changed", 0)
        self.skipped += numbers.pop("skipped", 0)
        self.counts.update(numbers)
        self.items.extend(result.get("items", ()))
        for item in result.get("skipped_items", ()):
            self.left_out.add(item["reason"], item["id"])


Progress = Callable[[Totals], None]


def ignore_progress(done: Totals) -> None:
    """Ignore the progress."""


def preview(
    queue: Queue, operation: Operation, limit: int | None = None, *, on_batch: Progress = ignore_progress
) -> Totals:
    """Return what would happen to each row; write nothing.

    Args:
        limit: Maximum number of rows; None for all matching rows.
        on_batch: Called after each batch with the totals so far.

    Raises:
        QueueError: An argument is invalid, or a named row does not qualify; see the SQL function.
    """
    totals, more = Totals(), True
    page: dict[str, Json] = {}
    while more and (size := _batch_size(limit, totals.matched)):
        result = queue.operate(
            operation.function, operation.set_arguments | page | {"dry_run": True, "batch_size": size}
        )
        totals.add(result)
        on_batch(totals)
        page, more = {"after": result.get("after")}, result["more"]
    return totals


def perform(
    queue: Queue,
    operation: Operation,
    actor: str,
    *,
    limit: int | None = None,
    on_batch: Progress = ignore_progress,
) -> Totals:
    """Change every matching row, committing batch by batch; recorded in `operations_log`.

    Args:
        actor: Who performs the operation, for the log.
        limit: Maximum number of rows; None for all matching rows.
        on_batch: Called after each batch with the totals so far.

    Raises:
        QueueError: See `preview`; earlier batches stay committed.
    """
    return _sum(queue, operation, actor, _by_filter(limit), on_batch)


def perform_items(
    queue: Queue,
    operation: Operation,
    items: Sequence[Mapping[str, Json]],
    actor: str,
    on_batch: Progress = ignore_progress,
) -> Totals:
    """Change exactly these rows of a dry run, except rows that have changed since.

    Args:
        items: With `id` and `version`, as `preview` lists them; without a version, a row only has to match.
    """
    arguments = {name: value for name, value in operation.set_arguments.items() if name != "job_ids"}
    return _sum(queue, Operation(operation.function, arguments), actor, _by_name(items), on_batch)


Batches = Callable[[Totals, Json], Mapping[str, Json] | None]
"""Takes the totals so far and the last reply, returns the next batch's arguments, or None to end."""


def _sum(queue: Queue, operation: Operation, actor: str, batches: Batches, on_batch: Progress) -> Totals:
    action_id, result, number = str(new_request_id()), None, 0
    done = Totals(action_id=action_id)
    while (batch := batches(done, result)) is not None:
        action = {"id": action_id, "batch": number, "actor": actor}
        result = queue.operate(
            operation.function, operation.set_arguments | dict(batch) | {"dry_run": False, "action": action}
        )
        done.add(result)
        on_batch(done)
        number += 1
    return done


def _by_filter(limit: int | None) -> Batches:
    def next_batch(so_far: Totals, result: Json) -> Mapping[str, Json] | None:
        size = _batch_size(limit, so_far.matched)
        return {"batch_size": size} if size and (result is None or result["more"]) else None

    return next_batch


def _by_name(items: Sequence[Mapping[str, Json]]) -> Batches:
    left: Iterator[list[dict[str, Json]]] = (
        [{"id": item["id"], "version": item.get("version")} for item in items[first : first + _BATCH]]
        for first in range(0, len(items), _BATCH)
    )

    def next_batch(so_far: Totals, result: Json) -> Mapping[str, Json] | None:  # noqa: ARG001 - the items decide alone
        batch = next(left, None)
        return None if batch is None else {"items": batch}

    return next_batch


def _batch_size(limit: int | None, done: int) -> int:
    return _BATCH if limit is None else min(_BATCH, limit - done)
