"""Named points before and after each commit or upload of a worker, at which tests inject faults."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import pytest

from cogo_dagster.queue.artifacts import StoredObject, files
from cogo_dagster.queue.artifacts.files import LocalFile
from cogo_dagster.queue.artifacts.folder import FolderObjects
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.transports.base import Ended
from cogo_dagster.queue.transports.postgres import PostgresTransport

CALLS: Final = (
    "register_worker",
    "claim_jobs",
    "start_jobs",
    "renew_leases",
    "create_artifacts",
    "finish_artifacts",
    "succeed_jobs",
    "settle_jobs",
    "settle_with_artifacts",
    "recover_leases",
    "record_heartbeat",
    "requeue_instance",
    "stop_worker",
)
"""The calls by which every worker commits."""

RARE_CALLS: Final = ("delete_artifacts", "roll_up_jobs")
"""The calls that a worker makes only if there are files to delete, or at its sweeps."""

UPLOAD: Final = "upload"

CALLS_FOR_LARGE_FILES: Final = ("create_artifacts", "finish_artifacts", "succeed_jobs")
"""The calls for a job with large files; small files are recorded by the settlement."""

POINTS: Final = tuple(f"{when} {what}" for what in (*CALLS, UPLOAD, *RARE_CALLS) for when in ("before", "after"))
"""All names: `before settle_jobs` is reached before the call is sent, `after settle_jobs` after the commit."""


@contextmanager
def at(point: str, handler: Callable[[], None]) -> Iterator[None]:
    """Call the handler whenever the point is reached, in the thread that reaches it; its exceptions are raised there.

    Raises:
        KeyError: There is no such point.
    """
    if point not in POINTS:
        raise KeyError(point)
    when, _, what = point.partition(" ")
    before, after = (handler, _nothing) if when == "before" else (_nothing, handler)
    call, start, put = PostgresTransport.call, PostgresTransport.start, FolderObjects.put

    def called(transport: PostgresTransport, function: str, arguments: Mapping[str, Json]) -> Json:
        if function != what or _prepares(arguments):
            return call(transport, function, arguments)
        before()
        answer = call(transport, function, arguments)
        after()
        return answer

    def started(transport: PostgresTransport, function: str, arguments: Mapping[str, Json], ended: Ended) -> object:
        # None: the call is made in a thread, whose exceptions reach the task that waits for it.
        return None if function == what else start(transport, function, arguments, ended)

    def stored(objects: FolderObjects, name: str, file: LocalFile, content_type: str) -> StoredObject:
        before()
        found = put(objects, name, file, content_type)
        after()
        return found

    with pytest.MonkeyPatch.context() as patch:
        if what in CALLS_FOR_LARGE_FILES:
            patch.setattr(files, "MAX_KEPT_BYTES", -1)
        if what == UPLOAD:
            patch.setattr(FolderObjects, "put", stored)
        else:
            patch.setattr(PostgresTransport, "call", called)
            patch.setattr(PostgresTransport, "start", started)
        yield


def _prepares(arguments: Mapping[str, Json]) -> bool:
    """Whether a call only prepares later ones: its failure has no effect, and it commits nothing."""
    families = [request["family"] for request in arguments.get("families", ()) if isinstance(request, dict)]
    return arguments.get("job_ids") == [] or families == [""]


def _nothing() -> None:
    """Do nothing."""
