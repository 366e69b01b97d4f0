"""Bulk actions on the jobs of a search: preview, plan, run. The web, the API and the command line use them.

A preview reads and writes nothing. A plan freezes the jobs that the preview found; a run changes them in batches, and
leaves out jobs that have changed since.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from cogo_dagster.queue.bulk import LeftOut, Operation
from cogo_dagster.queue.bulk import preview as dry_run
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.ids import new_request_id
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.bulk_actions import ActionItem, ActionName, BulkAction, ReplayResults
from cogo_dagster.queue.search.grammar import JobSearch
from cogo_dagster.release import code_version

MAX_JOBS: Final = 100_000
"""Maximum number of jobs that one action changes."""

FUNCTIONS: Final[Mapping[str, ActionName]] = {
    "retry_failed": "retry",
    "replay_dlq": "replay",
    "discard_dlq": "discard",
    "cancel_jobs": "cancel",
}
"""The operation of each bulk function that can also be limited by a search."""

PAST_TENSE: Final[Mapping[str, str]] = {
    "retry": "retried",
    "replay": "replayed",
    "discard": "discarded",
    "cancel": "cancelled",
}
"""What an operation does to a job, for people."""

INELIGIBLE: Final[Mapping[str, str]] = {
    "not_failed": "not failed",
    "finished": "finished already",
    "cancel_requested": "cancellation requested already",
    "not_dead_lettered": "not in the dead-letter queue",
    "replayed": "replayed already",
    "retried": "retried already",
    "discarded": "discarded",
    "unreadable": "unreadable",
    "key_taken": "another job has the idempotency key of the replay",
    "changed": "changed while the action ran",
    "deleted": "deleted since",
    "others": "further jobs",
}
"""Why a job cannot be changed, for people."""

_PAGE: Final = 1_000
_TOP: Final = 20


@dataclass(slots=True)
class Preview:
    """What an action would do.

    Attributes:
        found: Jobs that the search found.
        items: Jobs that the action can change, in the order of the search.
        left_out: The other jobs, by reason.
        is_cut: Whether more jobs match than one action changes.
        replays: What became of the replays of these causes until now; only for a replay.
    """

    operation: ActionName
    found: int = 0
    items: list[ActionItem] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    is_cut: bool = False
    replays: Mapping[str, ReplayResults] = field(default_factory=dict)

    def add(self, page: Sequence[ActionItem], limit: int) -> None:
        """Add a page; eligible jobs beyond the limit are left out."""
        for item in page:
            if item.ineligible is None and len(self.items) >= limit:
                self.is_cut = True
                return
            self.found += 1
            if item.ineligible is None:
                self.items.append(item)
            else:
                self.left_out.add(item.ineligible, item.id)

    @property
    def ineligible(self) -> Counter[str]:
        """Numbers of the jobs that the action cannot change, by reason."""
        return self.left_out.counts

    def counts(self, name: str) -> list[tuple[str, int]]:
        """Return numbers of jobs to change by `type`, `error_class`, `cause`, `host` or `release`, largest first."""
        counted = Counter(str(getattr(item, name) or "unknown") for item in self.items)
        return counted.most_common(_TOP)

    @property
    def summary(self) -> dict[str, Json]:
        """The counts, as they are stored with an action and returned by the API."""
        return {
            "found": self.found,
            "eligible": len(self.items),
            "ineligible_count": sum(self.ineligible.values()),
            "ineligible": dict(self.ineligible),
            "ineligible_jobs": {reason: list(ids) for reason, ids in self.left_out.job_ids.items()},
            "is_cut": self.is_cut,
            **{name: dict(self.counts(name)) for name in ("type", "error_class", "cause", "host", "release")},
            "replays": {cause: {"ended": n.ended, "succeeded": n.succeeded} for cause, n in self.replays.items()},
        }


def preview(
    queue: Queue, operation: ActionName, search: JobSearch, *, limit: int = MAX_JOBS, now: datetime | None = None
) -> Preview:
    """Return what an action would do; write nothing.

    Raises:
        InvalidArgument: The search has a problem, or matches every job.
    """
    if search.problems:
        raise InvalidArgument(" ".join(search.problems))
    if not [term for term in search.terms if term.key != "sort"]:
        raise InvalidArgument("The search is empty and matches every job: write a filter, such as status:failed.")
    found = Preview(operation)
    filters, before_id = search.filter(code_version(), now), None
    while not found.is_cut:
        page = queue.select_for_action(operation, filters, before_id=before_id, max_jobs=_PAGE)
        found.add(page.items, limit)
        before_id = page.before_id
        if before_id is None:
            break
    if operation == "replay":
        causes = [cause for cause, _ in found.counts("cause") if cause != "unknown"]
        found.replays = queue.replay_results(causes)
    return found


def preview_dead_letters(
    queue: Queue, operation: ActionName, *, fingerprint: str | None = None, job_id: UUID | None = None
) -> Preview:
    """Return what a replay or discard would do to a cause, to a job or to the whole dead-letter queue; write nothing.

    Unlike those of a search, these jobs may have been purged.

    Raises:
        InvalidArgument: The operation is another one, or there is no such dead-lettered job.
    """
    function = next((name for name, done in FUNCTIONS.items() if done == operation), "")
    if operation not in ("replay", "discard"):
        raise InvalidArgument("Dead-lettered jobs can be replayed or discarded.")
    filters = {"fingerprint": fingerprint, "job_ids": [str(job_id)] if job_id else None}
    totals = dry_run(queue, Operation(function, filters), MAX_JOBS)
    found = Preview(operation, found=totals.matched, left_out=totals.left_out, is_cut=totals.matched >= MAX_JOBS)
    found.found += found.ineligible.total()
    found.items = [_dead_letter(item, fingerprint) for item in totals.items]
    if operation == "replay" and fingerprint:
        found.replays = queue.replay_results([fingerprint])
    return found


def _dead_letter(item: Json, fingerprint: str | None) -> ActionItem:
    error = item["error"] if isinstance(item["error"], dict) else {}
    return ActionItem(
        id=item["id"],
        version=item["version"],
        type=item["type"] or "unknown",
        status="failed",
        error_class=error.get("class"),
        cause=fingerprint,
        host=None,
        release=code_version() if item.get("same_code_version") else None,
        ineligible=None,
    )


def skipped_jobs(queue: Queue, action: BulkAction) -> LeftOut:
    """Return the jobs that a run of an action skipped, by what prevents the operation now.

    The reason is `changed` if nothing does, `deleted` if the job does not exist, and `others` beyond the first 1,000.
    """
    found = LeftOut()
    if not action.skipped or isinstance(action.operation, Unreadable):
        return found
    filters: dict[str, Json] = {"action_id": str(action.id), "conditions": ["skipped"]}
    page = queue.select_for_action(action.operation, filters, max_jobs=_PAGE)
    for item in page.items:
        found.add(item.ineligible or "changed", item.id)
    rest = action.skipped - found.counts.total()
    if rest > 0:
        found.counts["others" if page.before_id else "deleted"] += rest
    return found


def plan(
    queue: Queue,
    operation: ActionName,
    items: Sequence[Mapping[str, Json]],
    actor: str,
    *,
    name: str = "",
    query: str = "",
    arguments: Mapping[str, Json] | None = None,
    summary: Mapping[str, Json] | None = None,
    action_id: UUID | None = None,
) -> BulkAction:
    """Store an action with its jobs, which are frozen by that. Safe to repeat with the same ID.

    Args:
        items: With `id` and `version`.
        arguments: `reset_attempts` of a retry, `reason` of a discard; a replay gets this code's release.

    Raises:
        InvalidArgument: A text is too long, or there are too many jobs.
    """
    passed = dict(arguments or {}) | ({"code_version": code_version()} if operation == "replay" else {})
    described = {"actor": actor, "name": name, "query": query, "arguments": passed, "summary": dict(summary or {})}
    chosen = [{"id": str(item["id"]), "version": item.get("version")} for item in items]
    new_id = action_id or new_request_id()
    stored = queue.plan_action(new_id, operation, chosen[:_PAGE], **described)
    for first in range(_PAGE, len(chosen), _PAGE):
        stored = queue.plan_action(new_id, operation, chosen[first : first + _PAGE], **described)
    return stored


def ignore_progress(done: BulkAction) -> None:
    """Ignore the progress."""


def run(
    queue: Queue,
    action_id: UUID,
    actor: str,
    *,
    limit: int | None = None,
    on_batch: Callable[[BulkAction], None] = ignore_progress,
) -> BulkAction:
    """Change the jobs of an action, batch by batch, until none is left or it is stopped; continue one that was stopped.

    Args:
        limit: Maximum number of jobs; 1 tries one first.
    """
    batch = 500 if limit is None else min(limit, 500)
    done = queue.run_action(action_id, actor, batch, continues=True)
    on_batch(done)
    so_far = batch
    while done.more and (limit is None or so_far < limit):
        done = queue.run_action(action_id, actor, batch)
        on_batch(done)
        so_far += batch
    return done
