"""Values that a shell completes: statuses, types of jobs, IDs of jobs, actions and discards, causes, filters.

A completion starts no server and prints no error: without a reachable database there are no IDs.
"""

from collections.abc import Callable
from concurrent.futures import wait
from typing import TYPE_CHECKING, Final, TypeVar

from cogo_dagster.formatting.values import one_line

if TYPE_CHECKING:
    from cogo_dagster.queue.client import Queue

Value = TypeVar("Value")

_SECONDS: Final = 2.0
_MAX_IDS: Final = 200
_SHORT_ID_CHARS: Final = 8

_STATUSES: Final = ("queued", "running", "succeeded", "failed", "cancelled")
_SUBTYPES: Final = ("browser.pdf", "figma.images", "figma.nodes")

Values = list[tuple[str, str]]
"""Values with a description, which some shells show."""


def statuses(incomplete: str) -> Values:
    """Return the statuses of jobs; of a comma-separated list, the last one is completed."""
    before, comma, last = incomplete.rpartition(",")
    return [(f"{before}{comma}{status}", "") for status in _STATUSES if status.startswith(last)]


def finished_statuses(incomplete: str) -> Values:
    """Return the statuses of finished jobs, as `statuses` does."""
    return [value for value in statuses(incomplete) if not value[0].endswith(("queued", "running"))]


def types(incomplete: str) -> Values:
    """Return the families of the installed executors, and the types below them that the project has."""
    from cogo_dagster.executors.registry import families  # noqa: PLC0415 - importing it takes 0.1 s

    found = sorted({*families(), *(name for name in _SUBTYPES if name.partition(".")[0] in families())})
    return [(name, "") for name in found if name.startswith(incomplete)]


def job_ids(incomplete: str) -> Values:
    """Return the IDs of recent jobs that begin with the text, or else their last digits."""
    return _ids(incomplete, _recent_jobs)


def action_ids(incomplete: str) -> Values:
    """Return the IDs of recent bulk actions, as `job_ids` does."""
    return _ids(incomplete, lambda queue: [(str(one.id), one.name or one.operation) for one in queue.list_actions()])


def discard_ids(incomplete: str) -> Values:
    """Return the IDs of recent discards, as `job_ids` does."""
    return _ids(incomplete, _recent_discards)


def fingerprints(incomplete: str) -> Values:
    """Return the fingerprints of the causes of dead-lettered jobs."""
    return [value for value in _read(_incidents) if value[0].startswith(incomplete)]


def executors(incomplete: str) -> Values:
    """Return the executor IDs that jobs are addressed to."""
    return [(name, "") for name in _values_of_queue("executor_ids", incomplete)]


def searches(incomplete: str) -> Values:
    """Return completions of the last term of a filter, with the values of a database that runs.

    A single completion that ends with a colon would be followed by a space: its values are offered too.
    """
    from cogo_dagster.queue.search.suggestions import complete  # noqa: PLC0415

    found = [(one.text.rstrip(), one.meaning) for one in complete(incomplete, _values_of_queue)]
    if len(found) == 1 and found[0][0].endswith(":") and found[0][0] != incomplete:
        found += [(one.text.rstrip(), one.meaning) for one in complete(found[0][0], _values_of_queue)]
    return found


def _ids(incomplete: str, read: Callable[["Queue"], Values]) -> Values:
    found: Values = []
    for row_id, description in _read(read):
        short = row_id[-_SHORT_ID_CHARS:]
        if short.startswith(incomplete):
            found.append((short, description))
        elif row_id.startswith(incomplete):
            found.append((row_id, description))
    return found


def _read(read: Callable[["Queue"], list[Value]]) -> list[Value]:
    """Return what is read from a database that runs; nothing after two seconds or an error."""
    from cogo_dagster.queue.threads import started  # noqa: PLC0415

    reading = started(lambda: _of_running_queue(read))
    return reading.result() if wait([reading], timeout=_SECONDS).done and reading.exception() is None else []


def _of_running_queue(read: Callable[["Queue"], list[Value]]) -> list[Value]:
    from cogo_dagster.bootstrap import running_queue  # noqa: PLC0415 - importing it takes 0.3 s
    from cogo_dagster.settings import load_settings  # noqa: PLC0415

    with running_queue(load_settings()) as queue:
        return read(queue) if queue else []


def _values_of_queue(key: str, prefix: str) -> list[str]:
    return _read(lambda queue: queue.suggest_values(key, prefix))


def _recent_jobs(queue: "Queue") -> Values:
    jobs = queue.list_jobs(max_jobs=_MAX_IDS)
    return [(str(job.id), one_line(f"{job.type} {job.status} {job.subject or ''}", 60)) for job in jobs]


def _recent_discards(queue: "Queue") -> Values:
    logged = queue.list_operations(max_operations=_MAX_IDS)
    return [(str(one.id), f"{one.changed} discarded") for one in logged if one.operation == "discard_dlq"]


def _incidents(queue: "Queue") -> Values:
    found = queue.list_incidents(max_incidents=_MAX_IDS)
    return [(str(one.fingerprint), one_line(f"{one.type} {one.message}", 60)) for one in found]
