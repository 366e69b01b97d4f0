"""Artifacts: their rows and their content."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.web.api.schemas import NO_NULL, ArtifactDetail, ArtifactPage
from cogo_dagster.web.content import content_of
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import ApplicationDep, require_reader
from cogo_dagster.web.headers import TRACES_HOST
from cogo_dagster.web.lookups import part_of
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/artifacts", tags=["artifacts"], responses=problems(401, 403, 422, 429))

ArtifactId = Annotated[
    UUID, part_of("artifact", "artifact_id", "Artifact ID, or 8 or more of its first or last digits.")
]


@router.get("", dependencies=[Depends(require_reader)], responses=problems(404))
def list_artifacts(
    application: ApplicationDep,
    *,
    job_id: UUID | None = None,
    type: Annotated[str | None, Query(max_length=200, pattern=NO_NULL, description="Type prefix of the job.")] = None,
    since_seconds: Annotated[float | None, Query(ge=0, le=315_360_000)] = None,
    before: Before = None,
    limit: PageSize = 50,
) -> ArtifactPage:
    """Ready artifacts, newest first."""
    rows = application.queue.list_artifacts(
        job_id=job_id,
        status="ready",
        type_prefix=type,
        since_seconds=since_seconds,
        before=read_cursor(before, "created_at", "id"),
        max_artifacts=limit,
    )
    return ArtifactPage(
        artifacts=[artifact_document(row) for row in rows], next=next_cursor(rows, limit, "created_at", "id")
    )


@router.get("/{artifact_id}", dependencies=[Depends(require_reader)], responses=problems(404))
def get_artifact(application: ApplicationDep, artifact_id: ArtifactId) -> ArtifactDetail:
    """The row of an artifact."""
    return artifact_document(find(application.queue.get_artifacts([artifact_id]), artifact_id))


@router.get(
    "/{artifact_id}/content",
    dependencies=[Depends(require_reader)],
    response_class=Response,
    responses={
        200: {"description": "The bytes.", "content": {"*/*": {}}},
        206: {"description": "The part of the header Range.", "content": {"*/*": {}}},
        303: {"description": "Redirect to a signed URL, valid for some minutes."},
        416: {"description": "The part of the header Range is outside the file."},
        **problems(404, 502),
    },
)
def get_content(
    request: Request,
    application: ApplicationDep,
    artifact_id: ArtifactId,
    *,
    download: Annotated[bool, Query(description="Send it as an attachment.")] = False,
) -> Response:
    """The content of an artifact, or a redirect to a signed URL."""
    row = find(application.queue.get_artifacts([artifact_id]), artifact_id)
    # The trace viewer runs on another origin, which no artifact store allows (CORS).
    redirect = request.url.hostname != TRACES_HOST
    # Responses have no validator that If-Range could match, so that it requests the whole file (RFC 9110, 13.1.5).
    wanted = None if "if-range" in request.headers else request.headers.get("range")
    return content_of(application.store, row, wanted, download=download, redirect=redirect)


def find(rows: list[ArtifactRow], artifact_id: UUID) -> ArtifactRow:
    """Return the only row.

    Raises:
        JobNotFound: There is no row, or its object was deleted or is not ready.
    """
    if not rows or not rows[0].storage_key:
        raise JobNotFound(f"Artifact {artifact_id} not found. It may have been deleted; check the ID.")
    if rows[0].status != "ready":
        raise JobNotFound(f"Artifact {artifact_id} is {rows[0].status}; only ready artifacts have content.")
    return rows[0]


def artifact_document(row: ArtifactRow) -> ArtifactDetail:
    """Return a row as the API shows it, without its storage key."""
    return ArtifactDetail.model_validate({**row.document, "content_url": f"/api/artifacts/{row.id}/content"})
