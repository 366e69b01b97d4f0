"""The quality gate's words as types, which are what the API answers too.

gate run   one evaluation of a commit; `gate_fix` is one made after an automatic fix
Q1         the pass rate of the gate runs of a window, and the verdict on it
snapshot   the numbers of a closed UTC day, kept for good

What is kept is read by every later release: a field that is added needs a default.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.tolerant import MaybeTime, Measure, OrUnreadable, Time, UnreadableText

GateType = Literal["gate", "gate_fix"]
GateStatus = Literal["pass", "fail"]
Verdict = Literal["pass", "fail", "not_computed"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class GateRun(_Model):
    """One evaluation of a commit.

    The addresses sign on click; they are None while METRICS_BASE is unset, and where the report is gone.

    Attributes:
        coverage_percent: Of lines; None is unknown, as every number here.
        tests_total: Tests that ran, each once.
        tests_flaky: Passed after they had failed.
        report_notes: By kind, why a report has no numbers: `report unread: …`.
    """

    gate_run_id: str
    type: Annotated[GateType | UnreadableText, OrUnreadable]
    status: Annotated[GateStatus | UnreadableText, OrUnreadable]
    branch: str
    commit_sha: str
    pull_request: int | None = None
    job_id: str | None = None
    created_at: Time
    build_seconds: Measure = None
    test_seconds: Measure = None
    lint_errors: int | None = None
    lint_warnings: int | None = None
    coverage_percent: Measure = None
    tests_total: int | None = None
    tests_failed: int | None = None
    tests_flaky: int | None = None
    branch_coverage_percent: Measure = None
    report_notes: Annotated[dict[str, str] | UnreadableText | None, OrUnreadable] = None
    eslint_artifact_id: str | None = None
    coverage_artifact_id: str | None = None
    junit_artifact_id: str | None = None
    eslint_url: str | None = None
    coverage_url: str | None = None
    junit_url: str | None = None

    @property
    def notes(self) -> dict[str, str]:
        """Why reports have no numbers, by kind."""
        return self.report_notes if isinstance(self.report_notes, dict) else {}


class Window(_Model):
    """A half-open time: `start` is in it, `end` is not."""

    start: datetime
    end: datetime
    hours: float


class GateQuantiles(_Model):
    """The median and the 95th percentile; None where nothing was measured."""

    p50: Measure = None
    p95: Measure = None


class Q1(_Model):
    """The verdict on the gate runs of the base branch.

    Attributes:
        verdict: `not_computed` where there is too little data: it never passes silently.
        pass_rate: Per cent of the runs that passed.
        reason: One sentence for people.
    """

    verdict: Verdict
    pass_rate: float | None
    min_pass_rate: float
    runs: int
    min_runs: int
    passed: int
    failed: int
    reason: str


class GateCounts(_Model):
    """How many gate runs, and how they ended."""

    runs: int
    passed: int
    failed: int
    pass_rate: float | None


class Lint(_Model):
    """What the newest gate run with a lint report found."""

    errors: int | None = None
    warnings: int | None = None


class TypeCounts(_Model):
    """Jobs of one type that ended."""

    type: str
    succeeded: int
    failed: int


class JobCounts(_Model):
    """The jobs that ended in the window, and their attempts.

    Attributes:
        failed: For good; a retry afterwards does not take it back.
        forced: Counted as succeeded by BROWSER_FORCE_SUCCESS; left out of the rates.
        first_try_rate: Per cent of those that succeeded or failed which did so at the first attempt.
        retried: Failed attempts that another one followed.
        lost: Attempts whose lease was lost.
        queue_wait_seconds: From the time a job was due to the start of the attempt that succeeded.
    """

    succeeded: int
    failed: int
    cancelled: int = 0
    forced: int = 0
    success_rate: float | None
    first_try_rate: float | None
    attempts: int = 0
    retried: int = 0
    lost: int = 0
    queue_wait_seconds: GateQuantiles
    by_type: list[TypeCounts] = Field(default_factory=list)


class Failure(_Model):
    """Failed attempts with one cause, of one family of types."""

    fingerprint: str
    family: str = ""
    error_class: str
    message: str
    count: int


class Day(_Model):
    """What ended on one UTC day."""

    day: str
    gate_passed: int
    gate_failed: int
    jobs_succeeded: int
    jobs_failed: int


class ProviderHealth(_Model):
    """What the last probe of a provider found."""

    provider: str
    healthy: bool
    latency_ms: Measure = None
    checked_at: MaybeTime = None
    error: str | None = None
    capability: str | None = None


class GateNumbers(_Model):
    """What the verdict and the checks look at, of the numbers of a window.

    Attributes:
        branch_known: A gate run was recorded on the branch, whenever.
        branches: Those with gate runs in the window, most runs first.
    """

    window: Window
    branch: str
    branch_known: bool
    branches: list[str]
    gate: GateCounts
    jobs: JobCounts


class GateSummary(_Model):
    """The numbers of a window. Gate runs are those of `branch`; a gate_fix counts on every branch."""

    window: Window
    branch: str
    branch_known: bool
    branches: list[str] = Field(default_factory=list)
    q1: Q1
    gate: GateCounts
    gate_fix: GateCounts
    build_seconds: GateQuantiles
    test_seconds: GateQuantiles
    lint: Lint
    coverage_percent: Measure
    jobs: JobCounts
    top_failures: list[Failure]
    days: list[Day]
    providers: list[ProviderHealth] = Field(default_factory=list)


class Stored(_Model):
    """Numbers that were kept.

    Attributes:
        outcome: `stored`, `unchanged`, `kept` (rows were purged meanwhile: the stored ones stand) or `revised` (rows
            came late); None when only read.
        complete: No purge came before they were first computed.
        revision: Counts from 1; 0 for numbers that are not kept.
    """

    outcome: str | None = None
    complete: bool
    revision: int
    computed_at: datetime
    summary: GateSummary


class WeeklySummary(_Model):
    """An ISO week beside the week before.

    Attributes:
        week: As `2026-W47`.
        complete: The week is over, and no purge took rows before it was computed.
        change: This week's number minus last week's, by name; None where one of them is missing.
    """

    week: str
    start: datetime
    end: datetime
    branch: str
    complete: bool
    this_week: GateSummary
    last_week: GateSummary
    change: dict[str, float | None]
    markdown: str
