"""Alerts, their targets, and the weekly summary."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import SkipJsonSchema

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.queue.rows.alerts import EndedSilence, NewSilence
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.actions import notify, seconds_until
from cogo_dagster.web.api.schemas import NO_NULL, AlertPage, AlertTargets, Notified, Silences, Week
from cogo_dagster.web.cursors import Before, PageSize, next_cursor, read_cursor
from cogo_dagster.web.dependencies import Actor, ApplicationDep, require_reader
from cogo_dagster.web.lookups import part_of
from cogo_dagster.web.problems import problems

_MAX_SECONDS: Final = 2_592_000
"""Maximum duration of a silence: 30 days."""

router = APIRouter(prefix="/api", tags=["alerts"], responses=problems(401, 403, 422, 429))


@router.get("/alerts", dependencies=[Depends(require_reader)], responses=problems(404))
def list_alerts(
    application: ApplicationDep,
    *,
    status: Literal["firing", "resolved", "announced"] | None = None,
    before: Before = None,
    limit: PageSize = 50,
) -> AlertPage:
    """Alerts, last seen first, with their deliveries."""
    rows = application.alerts.list_alerts(
        status=status, before=read_cursor(before, "last_seen_at", "id"), max_alerts=limit
    )
    return AlertPage(alerts=rows, next=next_cursor(rows, limit, "last_seen_at", "id"))


@router.get("/alerts/targets", dependencies=[Depends(require_reader)])
def targets(application: ApplicationDep) -> AlertTargets:
    """Health of each alert target, and its pending deliveries."""
    return application.alerts.target_health()


def _one_of(*names: str) -> list[JsonValue]:
    return [{"required": [name]} for name in names]


Given = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NULL)] | SkipJsonSchema[None]


class Silence(BaseModel):
    """Which alerts to silence, by all of the given criteria, at least one; and for how long, or until when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": _one_of("fingerprint", "kind", "subject_prefix"),
            "oneOf": _one_of("duration_seconds", "until"),
        },
    )

    fingerprint: Given = None
    kind: Given = None
    subject_prefix: Given = None
    duration_seconds: (
        Annotated[float, Field(strict=True, gt=0, le=_MAX_SECONDS, description="Or `until`.")] | SkipJsonSchema[None]
    ) = None
    until: (
        Annotated[datetime, Field(description="At most 30 days from now; without a time zone: UTC.")]
        | SkipJsonSchema[None]
    ) = None
    reason: Annotated[str | None, Field(max_length=500, pattern=NO_NULL)] = None


@router.get("/alerts/silences", dependencies=[Depends(require_reader)])
def list_silences(application: ApplicationDep) -> Silences:
    """Active silences, those that end last first."""
    return Silences(silences=application.alerts.list_silences())


@router.post("/alerts/silences", responses=problems(409))
def silence(application: ApplicationDep, actor: Actor, what: Silence) -> NewSilence:
    """Stop deliveries of matching alerts for a time. Alerts that still fire at its end are delivered then."""
    if (what.duration_seconds is None) == (what.until is None):
        raise InvalidArgument("Give duration_seconds or until.")
    seconds = what.duration_seconds or (seconds_until(what.until) if what.until else 0)
    if not 0 < seconds <= _MAX_SECONDS:
        raise RequestDenied(409, "The end of a silence must be within the next 30 days.")
    return application.alerts.silence(
        author=actor,
        duration_seconds=seconds,
        fingerprint=what.fingerprint,
        kind=what.kind,
        subject_prefix=what.subject_prefix,
        reason=what.reason,
    )


@router.post("/alerts/silences/{silence_id}/end", responses=problems(404))
def end_silence(
    application: ApplicationDep,
    actor: Actor,
    silence_id: Annotated[
        UUID, part_of("silence", "silence_id", "ID of the silence, or 8 or more of its first or last digits.")
    ],
) -> EndedSilence:
    """End a silence early. `changed` is false if it had ended."""
    return application.alerts.end_silence(silence_id, actor)


@router.post("/notify/weekly", responses=problems(404))
def notify_weekly(
    application: ApplicationDep,
    actor: Actor,
    *,
    week: Week = None,
) -> Notified:
    """Announce the summary of a week to all targets. Repeated calls announce it once."""
    return Notified.model_validate(notify(application, week, actor), from_attributes=True)
