"""The types of the quality gate, which are also the responses of the API.

    gate run   an evaluation of a commit; in a `gate_fix` run, after an automatic fix
    Q1         the pass rate of the gate runs in a window: passes, fails or is not computed
    snapshot   the stored numbers of a closed UTC day

Stored numbers are read by later releases: a new field needs a default.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.tolerant import MaybeTime, Measure, OrUnreadable, Time, UnreadableText

GateType = Literal["gate", "gate_fix"]
GateStatus = Literal["pass", "fail"]
Verdict = Literal["pass", "fail", "not_computed"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class GateRun(_Model):
    """An evaluation of a commit.

    The URLs redirect to signed URLs; they are None if METRICS_BASE is not set or the report is deleted.

    Attributes:
        coverage_percent: Line coverage; None means unknown, as for every number here.
        tests_total: Tests that ran, each counted once.
        tests_flaky: Tests that passed after a failure.
        report_notes: By kind, the reason why a report has no numbers: `report unread: …`.
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
        """The reasons why reports have no numbers, by kind."""
        return self.report_notes if isinstance(self.report_notes, dict) else {}

    def with_urls(self, url_of: Callable[[str], str | None]) -> Self:
        """Return the run with the URLs of the reports that are kept, by their artifacts' ids."""
        ids = {
            "eslint": self.eslint_artifact_id,
            "coverage": self.coverage_artifact_id,
            "junit": self.junit_artifact_id,
        }
        return self.model_copy(update={f"{kind}_url": url_of(id) if id else None for kind, id in ids.items()})


class Window(_Model):
    """A half-open interval: it includes `start` and excludes `end`."""

    start: datetime
    end: datetime
    hours: float

    def includes(self, time: datetime) -> bool:
        """Whether the window includes a time."""
        return self.start <= time < self.end

    def leaves(self, time: datetime) -> datetime:
        """Return when a time leaves a window of this length that ends now: it is no longer included after that."""
        return time + (self.end - self.start)


class GateQuantiles(_Model):
    """The median and the 95th percentile; None if nothing was measured."""

    p50: Measure = None
    p95: Measure = None


class Q1(_Model):
    """The pass rate of the gate runs of the base branch.

    Attributes:
        verdict: `not_computed` if there is too little data.
        pass_rate: The percentage of runs that passed.
        reason: An explanation for users.
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
    """The number of gate runs, by result."""

    runs: int
    passed: int
    failed: int
    pass_rate: float | None


class Lint(_Model):
    """The findings of the newest gate run with a lint report."""

    errors: int | None = None
    warnings: int | None = None


class TypeCounts(_Model):
    """The finished jobs of one type."""

    type: str
    succeeded: int
    failed: int


class JobCounts(_Model):
    """The jobs that finished in the window, and their attempts.

    Attributes:
        failed: Jobs that failed permanently, even if they were retried later.
        forced: Successes due to BROWSER_FORCE_SUCCESS; not included in the rates.
        first_try_rate: The percentage of succeeded and failed jobs that succeeded at the first attempt.
        retried: Failed attempts that were followed by another attempt.
        lost: Attempts whose lease was lost.
        queue_wait_seconds: From the time a job was due to the start of the successful attempt.
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


class FailureGroup(_Model):
    """Failed attempts with the same cause in one family."""

    fingerprint: str
    family: str = ""
    error_class: str
    message: str
    count: int


class Day(_Model):
    """The gate runs and jobs that finished on one UTC day."""

    day: str
    gate_passed: int
    gate_failed: int
    jobs_succeeded: int
    jobs_failed: int


class ProviderHealth(_Model):
    """The result of the last probe of a provider."""

    provider: str
    healthy: bool
    latency_ms: Measure = None
    checked_at: MaybeTime = None
    error: str | None = None
    capability: str | None = None


class GateNumbers(_Model):
    """The numbers of a window that Q1 and the checks need.

    Attributes:
        branch_known: Whether a gate run was ever recorded on the branch.
        branches: The branches with gate runs in the window, by number of runs.
    """

    window: Window
    branch: str
    branch_known: bool
    branches: list[str]
    gate: GateCounts
    jobs: JobCounts


class GateSummary(_Model):
    """The numbers of a window. Gate runs are those of `branch`; gate_fix runs are those of all branches."""

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
    top_failures: list[FailureGroup]
    days: list[Day]
    providers: list[ProviderHealth] = Field(default_factory=list)


class Stored(_Model):
    """Stored numbers.

    Attributes:
        outcome: `stored`, `unchanged`, `kept` (rows have been purged since; the stored numbers are not changed) or
            `revised` (rows were added since); None if the numbers were only read.
        complete: No rows were purged before the numbers were first computed.
        revision: Starts at 1; 0 for numbers that are not stored.
    """

    outcome: str | None = None
    complete: bool
    revision: int
    computed_at: datetime
    summary: GateSummary


class WeeklySummary(_Model):
    """An ISO week and the previous week.

    Attributes:
        week: Such as `2026-W47`.
        complete: The week is over, and no rows were purged before it was computed.
        change: This week's number minus last week's, by name; None if one of them is missing.
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
