"""Operators' bulk operations: one SQL function each, called batch by batch until nothing is left.

The same function lists what it would do (a dry run, which writes nothing) and does it.
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
"""The most rows one action may be limited to; without a limit it takes all that match."""

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be done, and to which rows.

    Attributes:
        function: `retry_failed`, `replay_dlq`, `recover_leases`, `cleanup_artifacts` or `purge_jobs`.
        arguments: The SQL function's own, such as filters; None leaves one out.
    """

    function: str
    arguments: Mapping[str, Json] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, Json]:
        """The arguments that are there; a replay also says which release of the code asks for it."""
        given = {name: value for name, value in self.arguments.items() if value is not None}
        return {"code_version": code_version()} | given if self.function == "replay_dlq" else given


@dataclass(slots=True)
class Totals:
    """What a bulk operation did, or would do.

    Attributes:
        matched: Rows that the operation was for.
        changed: Rows that it changed; 0 in a dry run.
        skipped: Rows left alone, because they changed since they were chosen or are in other hands.
        counts: What else the function counts, added up: `requeued`, `same_code_version` …
        items: A dry run's: what would become of each row. A replay's: the new job of each.
    """

    matched: int = 0
    changed: int = 0
    skipped: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    items: list[Json] = field(default_factory=list)

    def add(self, answer: Mapping[str, Json]) -> None:
        """Add one batch's answer."""
        numbers = {name: n for name, n in answer.items() if type(n) is int}
        self.matched += numbers.pop("matched")
        self.changed += numbers.pop("changed", 0)
        self.skipped += numbers.pop("skipped", 0)
        self.counts.update(numbers)
        self.items.extend(answer.get("items", ()))


Progress = Callable[[Totals], None]


def ignore_progress(done: Totals) -> None:
    """Report to nobody."""


def preview(queue: Queue, operation: Operation, limit: int | None = None) -> Totals:
    """Say what would happen, row by row, and write nothing.

    Args:
        limit: At most so many rows; None takes all that match.

    Raises:
        QueueError: An argument is refused, or a named row does not fit; see the SQL function.
    """
    found, more = Totals(), True
    page: dict[str, Json] = {}
    while more and (size := _batch_size(limit, found.matched)):
        answer = queue.operate(operation.function, operation.given | page | {"dry_run": True, "batch_size": size})
        found.add(answer)
        page, more = {"after": answer.get("after")}, answer["more"]
    return found


def perform(
    queue: Queue,
    operation: Operation,
    actor: str,
    *,
    limit: int | None = None,
    on_batch: Progress = ignore_progress,
) -> Totals:
    """Do it to all rows that match, a batch at a time, each committed; written down in `operations_log`.

    Args:
        actor: Who does this, as the log keeps it.
        limit: At most so many rows; None takes all that match.
        on_batch: Told the sum so far after each batch.

    Raises:
        QueueError: As `preview`; the batches before it stand.
    """
    return _sum(queue, operation, actor, _by_filter(limit), on_batch)


def perform_items(
    queue: Queue,
    operation: Operation,
    items: Sequence[Mapping[str, Json]],
    actor: str,
    on_batch: Progress = ignore_progress,
) -> Totals:
    """Do it to exactly these rows of a dry run, leaving out those that changed since.

    Args:
        items: With `id` and `version`, as `preview` lists them; without a version, a row only has to match.
    """
    arguments = {name: value for name, value in operation.given.items() if name != "job_ids"}
    return _sum(queue, Operation(operation.function, arguments), actor, _by_name(items), on_batch)


Batches = Callable[[Totals, Json], Mapping[str, Json] | None]
"""From the sum so far and the last answer to the next batch's arguments; None ends it."""


def _sum(queue: Queue, operation: Operation, actor: str, batches: Batches, on_batch: Progress) -> Totals:
    done, answer, action_id, number = Totals(), None, str(new_request_id()), 0
    while (batch := batches(done, answer)) is not None:
        action = {"id": action_id, "batch": number, "actor": actor}
        answer = queue.operate(operation.function, operation.given | dict(batch) | {"dry_run": False, "action": action})
        done.add(answer)
        on_batch(done)
        number += 1
    return done


def _by_filter(limit: int | None) -> Batches:
    def next_batch(so_far: Totals, answer: Json) -> Mapping[str, Json] | None:
        size = _batch_size(limit, so_far.matched)
        return {"batch_size": size} if size and (answer is None or answer["more"]) else None

    return next_batch


def _by_name(items: Sequence[Mapping[str, Json]]) -> Batches:
    left: Iterator[list[dict[str, Json]]] = (
        [{"id": item["id"], "version": item.get("version")} for item in items[first : first + _BATCH]]
        for first in range(0, len(items), _BATCH)
    )

    def next_batch(so_far: Totals, answer: Json) -> Mapping[str, Json] | None:  # noqa: ARG001 - the items decide alone
        batch = next(left, None)
        return None if batch is None else {"items": batch}

    return next_batch


def _batch_size(limit: int | None, done: int) -> int:
    return _BATCH if limit is None else min(_BATCH, limit - done)
