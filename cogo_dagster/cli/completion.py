"""Values that a shell completes: statuses, types of jobs, IDs of recent jobs, filters.

A completion starts no server and prints no error: without a reachable database there are no IDs.
"""

from concurrent.futures import wait
from typing import Final

from cogo_dagster.formatting.values import one_line

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
    from cogo_dagster.queue.threads import started  # noqa: PLC0415

    reading = started(_recent_jobs)
    if not wait([reading], timeout=_SECONDS).done or reading.exception() is not None:
        return []
    found: Values = []
    for job_id, description in reading.result():
        short = job_id[-_SHORT_ID_CHARS:]
        if short.startswith(incomplete):
            found.append((short, description))
        elif job_id.startswith(incomplete):
            found.append((job_id, description))
    return found


def searches(incomplete: str) -> Values:
    """Return completions of the last term of a filter, with the values of a database that runs."""
    from cogo_dagster.queue.search.suggestions import complete  # noqa: PLC0415

    return [(one.text.rstrip(), one.meaning) for one in complete(incomplete, _values_of_queue)]


def _values_of_queue(key: str, prefix: str) -> list[str]:
    from cogo_dagster.queue.threads import started  # noqa: PLC0415

    reading = started(lambda: _suggested_values(key, prefix))
    return reading.result() if wait([reading], timeout=_SECONDS).done and reading.exception() is None else []


def _suggested_values(key: str, prefix: str) -> list[str]:
    from cogo_dagster.bootstrap import running_queue  # noqa: PLC0415
    from cogo_dagster.settings import load_settings  # noqa: PLC0415

    with running_queue(load_settings()) as queue:
        return queue.suggest_values(key, prefix) if queue else []


def _recent_jobs() -> Values:
    from cogo_dagster.bootstrap import running_queue  # noqa: PLC0415 - importing it takes 0.3 s
    from cogo_dagster.settings import load_settings  # noqa: PLC0415

    with running_queue(load_settings()) as queue:
        jobs = queue.list_jobs(max_jobs=_MAX_IDS) if queue else []
    return [(str(job.id), one_line(f"{job.type} {job.status} {job.subject or ''}", 60)) for job in jobs]
