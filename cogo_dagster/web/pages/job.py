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
from cogo_dagster.formatting.browser_evidence import FILE_NAME, BrowserEvidence
from cogo_dagster.formatting.timeline import JobAttempt, attempts_of, latest_moments, timeline
from cogo_dagster.queue.artifacts import ArtifactStore, ArtifactStoreError
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import JobContext, TruncatedJob, WholeJob
from cogo_dagster.text import load_json
from cogo_dagster.web.attempt_views import SCREENSHOT, StepBar, artifacts_by_attempt, waterfall, why_no_screenshot
from cogo_dagster.web.commands import command_with_file, enqueue_command, enqueue_curl, job_like
from cogo_dagster.web.content import bare_type, first_text
from cogo_dagster.web.dependencies import ApplicationDep, require_reader, session_of, web_of
from cogo_dagster.web.lookups import base_url, no_such_job, reason
from cogo_dagster.web.traces import viewer_address

router = APIRouter(prefix="/dashboard", include_in_schema=False, dependencies=[Depends(require_reader)])

_READ_BYTES: Final = 64 * 1024
_EVIDENCE_BYTES: Final = 512 * 1024
SHOWN_ATTEMPTS: Final = 10
"""Latest attempts that are shown with their records and files."""
LISTED_ATTEMPTS: Final = 200
"""Attempts before them that are listed."""
SHOWN_MOMENTS: Final = 40
"""Latest events of the timeline."""

_TEXTS: Final = {"text/html", "text/plain", "application/json", "text/csv", "text/markdown"}


@dataclass(frozen=True, slots=True)
class ArtifactPreview:
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
class AttemptView:
    """An attempt with its record and its files.

    Attributes:
        key: Identifies it on the page; numbers repeat after a retry that resets them.
        screenshot: The artifact with the screenshot.
        no_screenshot: Why there is no screenshot.
    """

    key: int
    attempt: JobAttempt
    evidence: BrowserEvidence | None
    previews: list[ArtifactPreview]
    screenshot: ArtifactRow | None
    no_screenshot: str | None

    @property
    def steps(self) -> list[StepBar]:
        """The steps of the attempt, as a waterfall."""
        return waterfall(self.evidence)


@dataclass(frozen=True, slots=True)
class LastSuccess:
    """The last success of the same URL, to be compared with a failure."""

    job: WholeJob
    screenshot: ArtifactRow | None
    evidence: BrowserEvidence | None


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
        raise no_such_job(application, job_id)
    attempts = attempts_of(truncated)
    groups, others = artifacts_by_attempt(attempts, truncated.artifacts)
    newest_first = list(enumerate(zip(attempts, groups, strict=True)))[::-1]
    views = [
        _attempt_view(request, application.store, truncated, key, found, is_last=key == len(attempts) - 1)
        for key, found in newest_first[:SHOWN_ATTEMPTS]
    ]
    earlier = newest_first[SHOWN_ATTEMPTS:]
    moments, left_out = latest_moments(timeline(truncated), SHOWN_MOMENTS)
    context, copy = application.queue.context(job_id), job_like(truncated)
    return web_of(request).pages.page(
        request,
        "job.html",
        title=f"{truncated.type} {str(job_id)[-8:]}",
        job=truncated,
        can=JobActions.of(truncated),
        why=reason(application, job_id),
        timeline=moments,
        left_out=left_out,
        attempts=views,
        earlier=[found for _, found in earlier[:LISTED_ATTEMPTS]],
        earlier_count=len(earlier),
        others=[_preview(request, application.store, row) for row in others],
        context=context,
        last_success=_last_success(application, truncated, context),
        command=enqueue_command(copy) if copy else command_with_file(truncated),
        curl=enqueue_curl(copy, base_url(request)) if copy else None,
    )


def _attempt_view(
    request: Request,
    store: ArtifactStore,
    job: TruncatedJob,
    key: int,
    found: tuple[JobAttempt, list[ArtifactRow]],
    *,
    is_last: bool,
) -> AttemptView:
    attempt, rows = found
    evidence = _evidence(store, job, attempt, rows)
    shown = [row for row in rows if not (evidence and row.name == FILE_NAME)]
    return AttemptView(
        key=key,
        attempt=attempt,
        evidence=evidence,
        previews=[_preview(request, store, row, reads=is_last) for row in sorted(shown, key=_screenshots_first)],
        screenshot=next((row for row in rows if row.name == SCREENSHOT), None),
        no_screenshot=why_no_screenshot(job, attempt, evidence, [row.name for row in rows]),
    )


def _evidence(
    store: ArtifactStore, job: TruncatedJob, attempt: JobAttempt, rows: list[ArtifactRow]
) -> BrowserEvidence | None:
    """Return the record of an attempt: from the result of a success, from the file of a failure."""
    if attempt.outcome == "succeeded":
        return BrowserEvidence.read(job.result)
    key = next((row.storage_key for row in rows if row.name == FILE_NAME), None)
    if key is None:
        return None
    try:
        text, whole = first_text(store, key, _EVIDENCE_BYTES)
    except ArtifactStoreError:
        return None
    return BrowserEvidence.read(text) if whole else None


def _last_success(application: Application, job: TruncatedJob, context: JobContext | None) -> LastSuccess | None:
    if job.shown_error is None or context is None or context.last_success is None:
        return None
    found = application.queue.get_jobs([context.last_success.job_id])
    if not found:
        return None
    screenshot = next((row for row in found[0].artifacts if row.name == SCREENSHOT), None)
    return LastSuccess(found[0], screenshot, BrowserEvidence.read(found[0].result))


def _screenshots_first(row: ArtifactRow) -> tuple[bool, bool, str]:
    is_image = bare_type(row.content_type).startswith("image/")
    return row.name != SCREENSHOT, not is_image, row.name or ""


def _preview(request: Request, store: ArtifactStore, row: ArtifactRow, *, reads: bool = True) -> ArtifactPreview:
    """Return the preview of an artifact.

    Args:
        reads: Whether the beginning of a text is read.
    """
    kind = bare_type(row.content_type)
    if kind.startswith("image/") and kind != "image/svg+xml":
        return ArtifactPreview(row, "image")
    if kind == "application/zip" and (row.name or "").endswith("trace.zip"):
        return ArtifactPreview(row, "trace", viewer=viewer_address(request, str(row.id), _signed(request, str(row.id))))
    if "pdf" in kind:
        return ArtifactPreview(row, "pdf")
    if kind in _TEXTS and row.storage_key and reads:
        with contextlib.suppress(ArtifactStoreError):
            text, whole = first_text(store, row.storage_key, _READ_BYTES)
            return ArtifactPreview(row, "text", _readable(kind, text, whole=whole), whole)
    return ArtifactPreview(row, "file")


def _signed(request: Request, artifact_id: str) -> Mapping[str, str]:
    session = session_of(request)
    return web_of(request).access.sign(session, artifact_id) if session else {}


def _readable(kind: str, text: str, *, whole: bool) -> str:
    if kind == "application/json" and whole:
        with contextlib.suppress(ValueError, RecursionError):  # an indented document is written recursively
            return json.dumps(load_json(text), indent=2, ensure_ascii=False)
    return text
