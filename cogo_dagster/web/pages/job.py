"""Page of one job: the reason for its state, its attempts and its artifacts."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import RedirectResponse, Response

from cogo_dagster.bootstrap import Application
from cogo_dagster.formatting.timeline import attempts_of, timeline
from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import TruncatedJob
from cogo_dagster.text import load_json
from cogo_dagster.web.content import bare_type, first_text
from cogo_dagster.web.dependencies import ApplicationDep, require_reader, session_of, web_of
from cogo_dagster.web.lookups import no_such_job, reason
from cogo_dagster.web.traces import viewer_address

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])

_READ_BYTES: Final = 64 * 1024
_TEXTS: Final = {"text/html", "text/plain", "application/json", "text/csv", "text/markdown"}


@dataclass(frozen=True, slots=True)
class Preview:
    """Preview of an artifact.

    Attributes:
        kind: `image`, `text`, `trace`, `pdf` or `file`.
        text: The beginning of a text.
        whole: Whether `text` is complete.
        viewer: Address of the trace viewer.
    """

    row: ArtifactRow
    kind: str
    text: str | None = None
    whole: bool = True
    viewer: str | None = None

    @property
    def is_wide(self) -> bool:
        """Whether the preview takes the full width of the page."""
        return self.kind in ("image", "text", "trace")

    @property
    def is_open(self) -> bool:
        """Whether a text is expanded initially."""
        return "json" in (self.row.content_type or "")

    @property
    def summary(self) -> str:
        """Heading of a text."""
        what = "HTML source" if "html" in (self.row.content_type or "") else "Content"
        return what if self.whole else f"{what}, first {_READ_BYTES // 1024} kB"


@dataclass(frozen=True, slots=True)
class JobActions:
    """Actions that a job allows.

    Attributes:
        cancel: Label of the cancel button; None if the job cannot be cancelled.
        retry: Whether the job can be retried or replayed.
    """

    cancel: str | None
    retry: bool

    @classmethod
    def of(cls, job: TruncatedJob) -> Self:
        """Return the actions that the job's status allows."""
        names = {"queued": "Cancel", "running": "Request cancellation"}
        return cls(
            cancel=None if job.cancel_requested else names.get(job.status),
            retry=job.status == "failed" and not job.replayed_job_id,
        )


@router.get("/jobs/{job_id}")
def job(
    request: Request, application: ApplicationDep, job_id: Annotated[str, Path(min_length=8, max_length=36)]
) -> Response:
    """Page of one job; the first or last digits of its ID redirect to it."""
    found_id = application.queue.find_id(job_id)
    if job_id != str(found_id):
        return RedirectResponse(f"/dashboard/jobs/{found_id}", 303)
    return _page(request, application, found_id)


def _page(request: Request, application: Application, job_id: UUID) -> Response:
    truncated = application.queue.get_truncated_job(job_id)
    if truncated is None:
        raise no_such_job(job_id)
    return web_of(request).pages.page(
        request,
        "job.html",
        title=f"{truncated.type} {str(job_id)[-8:]}",
        job=truncated,
        can=JobActions.of(truncated),
        why=reason(application, job_id),
        attempts=attempts_of(truncated),
        timeline=timeline(truncated),
        previews=[_preview(request, application.store, row) for row in truncated.artifacts],
    )


def _preview(request: Request, store: ArtifactStore, row: ArtifactRow) -> Preview:
    kind = bare_type(row.content_type)
    if kind.startswith("image/") and kind != "image/svg+xml":
        return Preview(row, "image")
    if kind == "application/zip" and (row.name or "").endswith("trace.zip"):
        return Preview(row, "trace", viewer=viewer_address(request, str(row.id), _signed(request, str(row.id))))
    if "pdf" in kind:
        return Preview(row, "pdf")
    if kind in _TEXTS and row.storage_key:
        with contextlib.suppress(ArtifactStoreError):
            text, whole = first_text(store, row.storage_key, _READ_BYTES)
            return Preview(row, "text", _readable(kind, text, whole=whole), whole)
    return Preview(row, "file")


def _signed(request: Request, artifact_id: str) -> Mapping[str, str]:
    session = session_of(request)
    return web_of(request).access.sign(session, artifact_id) if session else {}


def _readable(kind: str, text: str, *, whole: bool) -> str:
    if kind == "application/json" and whole:
        with contextlib.suppress(ValueError, RecursionError):  # an indented document is written recursively
            return json.dumps(load_json(text), indent=2, ensure_ascii=False)
    return text
