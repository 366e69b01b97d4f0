"""Artifacts: their rows, and their bytes on click."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.web.api.schemas import NO_NULL, ArtifactDetail, ArtifactPage
from cogo_dagster.web.content import content_of
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import AppPart, require_reader
from cogo_dagster.web.headers import TRACES_HOST
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/artifacts", tags=["artifacts"], responses=problems(401, 403, 422, 429))

ArtifactId = Annotated[UUID, Path(description="The artifact's id.")]


@router.get("", dependencies=[Depends(require_reader)], responses=problems(404))
def list_artifacts(
    application: AppPart,
    *,
    job_id: UUID | None = None,
    type: Annotated[
        str | None, Query(max_length=200, pattern=NO_NULL, description="Only of jobs whose type begins so.")
    ] = None,
    since_seconds: Annotated[float | None, Query(ge=0, le=315_360_000)] = None,
    before: Before = None,
    limit: PageSize = 50,
) -> ArtifactPage:
    """Artifacts that are ready, newest first."""
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
def get_artifact(application: AppPart, artifact_id: ArtifactId) -> ArtifactDetail:
    """One artifact's row."""
    return artifact_document(find(application.queue.get_artifacts([artifact_id]), artifact_id))


@router.get(
    "/{artifact_id}/content",
    dependencies=[Depends(require_reader)],
    response_class=Response,
    responses={
        200: {"description": "The bytes.", "content": {"*/*": {}}},
        303: {"description": "A signed address of the bytes, good for some minutes."},
        **problems(404, 502),
    },
)
def get_content(
    request: Request,
    application: AppPart,
    artifact_id: ArtifactId,
    *,
    download: Annotated[bool, Query(description="Save it instead of showing it.")] = False,
) -> Response:
    """An artifact's bytes: from here, or by an address that is signed now."""
    row = find(application.queue.get_artifacts([artifact_id]), artifact_id)
    # Traces are read by a page of another origin, which no store allows.
    here = request.url.hostname == TRACES_HOST
    return content_of(application.store, row, download=download, here=here)


def find(rows: list[ArtifactRow], artifact_id: UUID) -> ArtifactRow:
    """Return the one row.

    Raises:
        JobNotFound: There is none, or its bytes are gone.
    """
    if not rows or not rows[0].storage_key:
        raise JobNotFound(f"There is no artifact {artifact_id}: it was cleaned up, or the id has a slip.")
    if rows[0].status != "ready":
        raise JobNotFound(f"The artifact {artifact_id} is {rows[0].status}: only ready ones have content.")
    return rows[0]


def artifact_document(row: ArtifactRow) -> ArtifactDetail:
    """Return a row as the API shows it; its storage key stays here."""
    return ArtifactDetail.model_validate({**row.document, "content_url": f"/api/artifacts/{row.id}/content"})
