"""Gate runs and the numbers of windows."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import Measure, OrUnreadable, Time, UnreadableText

GateType = Literal["gate", "gate_fix"]
GateStatus = Literal["pass", "fail"]


class GateRunRow(Row):
    """One evaluation of a commit; an artifact's ID is None if the report was deleted."""

    gate_run_id: UUID
    type: Annotated[GateType | UnreadableText, OrUnreadable]
    status: Annotated[GateStatus | UnreadableText, OrUnreadable]
    branch: str
    commit_sha: str
    pull_request: int | None
    job_id: UUID | None
    created_at: Time
    build_seconds: Measure
    test_seconds: Measure
    lint_errors: int | None
    lint_warnings: int | None
    coverage_percent: Measure
    tests_total: int | None
    tests_failed: int | None
    tests_flaky: int | None
    branch_coverage_percent: Measure
    report_notes: Annotated[dict[str, str] | UnreadableText | None, OrUnreadable]
    eslint_artifact_id: UUID | None
    coverage_artifact_id: UUID | None
    junit_artifact_id: UUID | None


class RecordedGateRun(Row):
    """A recorded gate run, and whether it is new."""

    gate_run: GateRunRow
    created: bool


class StoredWindow(Row):
    """The numbers of a window.

    Attributes:
        numbers: As the SQL function `gate_summary` returns them.
        complete: Whether no rows were purged before the numbers were first computed.
        revision: Counted from 1; 0 for numbers that are not stored.
    """

    window_start: Time
    window_end: Time
    branch: str
    numbers: dict[str, Json]
    providers: list[Json]
    complete: bool
    revision: int
    computed_at: datetime


class KeptWindow(StoredWindow):
    """The numbers of a window that was computed and stored.

    Attributes:
        outcome: `stored`, `unchanged`, `kept` (rows were purged, so the stored numbers are kept) or `revised`.
    """

    outcome: str
