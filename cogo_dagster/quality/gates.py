"""The gate's client: gate runs, summaries, snapshots and weeks in the database."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid4

from cogo_dagster.links import artifact_content
from cogo_dagster.quality.forecast import Forecast, counted_runs, forecast
from cogo_dagster.quality.records import GateNumbers, GateRun, GateSummary, GateType, Stored, WeeklySummary
from cogo_dagster.quality.reports.paths import ReportPaths
from cogo_dagster.quality.reports.report import GateReport, attempt_report
from cogo_dagster.quality.summary import change, markdown
from cogo_dagster.quality.verdict import Threshold, q1
from cogo_dagster.quality.week_chart import week_chart
from cogo_dagster.quality.weeks import start_of, week_of
from cogo_dagster.queue.artifacts import ArtifactRejected, ArtifactStore, upload_report
from cogo_dagster.queue.model import ArtifactFile, Json
from cogo_dagster.queue.rows.base import Cursor, read_list
from cogo_dagster.queue.rows.gates import GateRunRow, KeptWindow, RecordedGateRun, StoredWindow
from cogo_dagster.queue.transports.base import Transport
from cogo_dagster.settings import Settings
from cogo_dagster.text import storable

Address = Callable[[str], str | None]
"""Returns the URL of an artifact's content, given the artifact's id."""

_MAX_PAGE: Final = 200
_MAX_FORECAST_RUNS: Final = 5_000
_LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

_SETTLE_TIME: Final = timedelta(minutes=5)


class PublishedWeek(NamedTuple):
    """A week, and the artifact of its chart, if any."""

    summary: WeeklySummary
    chart_artifact_id: str | None = None


class GateService:
    """Reads and stores the gate's numbers.

    Every method raises `QueueError`.

    Args:
        transport: Calls the SQL functions.
        store: The store of the reports.
        threshold: The threshold of Q1.
        branch: The base branch.
        address: Returns the URLs of reports.
    """

    def __init__(
        self, transport: Transport, store: ArtifactStore, threshold: Threshold, branch: str, address: Address
    ) -> None:
        self._transport = transport
        self._store = store
        self.threshold = threshold
        self.branch = branch
        self._address = address

    @classmethod
    def of(cls, settings: Settings, transport: Transport, store: ArtifactStore) -> Self:
        """Return the service for the settings."""
        threshold = Threshold(settings.gate_min_pass_rate, settings.gate_min_runs)
        return cls(transport, store, threshold, settings.gate_branch, lambda id: artifact_content(settings, id))

    def record(self, run: Mapping[str, Json]) -> tuple[GateRun, bool]:
        """Record a gate run; return the run, and whether it is new. Idempotent by `gate_run_id`."""
        recorded = RecordedGateRun.model_validate(self._transport.call("record_gate_run", {"run": dict(run)}))
        return self._run(recorded.gate_run), recorded.created

    def record_reports(self, run: Mapping[str, Json], reports: Mapping[str, ReportPaths]) -> tuple[GateRun, bool]:
        """Read reports, store them as artifacts, and record a gate run; see `record`.

        A report that cannot be read contributes no numbers, but the run is recorded; `report_notes` has the reason.

        Args:
            run: The known fields, which take precedence over the reports. An id is added if there is none.
            reports: Files by kind: eslint, coverage, junit.

        Raises:
            ArtifactStoreUnavailable: A report cannot be stored now; the run is not recorded.
        """
        read = [attempt_report(kind, paths) for kind, paths in reports.items()]
        facts: dict[str, Json] = {}
        notes: dict[str, Json] = {}
        for report in read:
            kept, note = self._keep(report)
            facts |= {**report.facts, f"{report.kind}_artifact_id": kept}
            if note_text := " ".join(filter(None, (*report.notes, note))):
                notes[report.kind] = storable(note_text)[:2_000]
        facts |= {"report_notes": notes} if notes else {}
        fields = {name: value for name, value in run.items() if value is not None}
        return self.record({"gate_run_id": str(uuid4()), **facts, **fields})

    def keep_file(self, name: str, content_type: str, text: str, extension: str) -> str:
        """Store a text as an artifact without a job; return the artifact's id."""
        return self._keep_bytes(name, content_type, text.encode(), extension)

    def _keep_bytes(self, name: str, content_type: str, content: bytes, extension: str) -> str:
        with TemporaryDirectory(prefix="cogo-report-") as folder:
            path = Path(folder) / f"file.{extension}"
            path.write_bytes(content)
            row = upload_report(self._transport, self._store, ArtifactFile(name, content_type, path))
        return str(row["artifact_id"])

    def _keep(self, report: GateReport) -> tuple[str | None, str | None]:
        """Store a report's files; return the artifact's id, or a note if the store rejects the report."""
        # The extension follows from the content: the file name is untrusted.
        content, extension = report.content(), report.extension
        if not content:
            return None, None
        try:
            return self._keep_bytes(f"{report.kind}.{extension}", report.content_type, content, extension), None
        except ArtifactRejected as error:
            return None, f"The report is not stored: {error}"

    def recent(
        self,
        type: GateType | None = "gate_fix",
        limit: int = 3,
        *,
        branch: str | None = None,
        status: str | None = None,
        since_seconds: float | None = None,
        before: Cursor | None = None,
    ) -> list[GateRun]:
        """Return gate runs, newest first.

        Args:
            since_seconds: Only runs recorded in the last *since_seconds*.
            before: `created_at` and `gate_run_id` of the last run of the previous page.
        """
        filters = {
            "type": type,
            "branch": branch,
            "status": status,
            "since_seconds": since_seconds,
            "before": before and dict(before),
            "max_runs": limit,
        }
        rows = read_list(GateRunRow, self._transport.call("list_gate_runs", filters))
        return [self._run(row) for row in rows]

    def find(self, gate_run_id: UUID) -> GateRun | None:
        """Return a gate run; None if there is none with this ID."""
        row = self._transport.call("get_gate_run", {"gate_run_id": str(gate_run_id)})
        return None if row is None else self._run(GateRunRow.model_validate(row))

    def forecast(self, summary: GateSummary) -> Forecast:
        """Return the forecast for the window of a summary, which ends now."""
        end = {"created_at": summary.window.end.isoformat(), "gate_run_id": _LAST_ID}
        runs: list[GateRun] = []
        while page := self.recent("gate", _MAX_PAGE, branch=summary.branch, before=end):
            runs += page
            last = page[-1].created_at
            if len(page) < _MAX_PAGE or len(runs) >= _MAX_FORECAST_RUNS or not isinstance(last, datetime):
                break
            if last < summary.window.start:
                break
            end = {"created_at": last.isoformat(), "gate_run_id": page[-1].gate_run_id}
        return forecast(counted_runs(runs, summary.window, summary.branch), summary.window, self.threshold)

    def summary(
        self,
        hours: float = 24,
        branch: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> GateSummary:
        """Return the numbers of the last *hours*, or of a window, without storing them.

        Provider health is included only for the present: only the last probe is known.
        """
        numbers = self._numbers(hours, branch, start=start, end=end)
        providers = [] if end else self._transport.call("list_provider_health", {})
        return self._with_q1({**numbers, "providers": providers})

    def numbers(
        self,
        hours: float = 24,
        branch: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> GateNumbers:
        """Return the numbers of `summary` without Q1."""
        return GateNumbers.model_validate(self._numbers(hours, branch, start=start, end=end))

    def _numbers(
        self, hours: float, branch: str | None, *, start: datetime | None = None, end: datetime | None = None
    ) -> Mapping[str, Json]:
        window = {
            "window_start": _text(start),
            "window_end": _text(end),
            "branch": branch or self.branch,
            "hours": hours,
        }
        numbers: Mapping[str, Json] = self._transport.call("gate_summary", window)
        return numbers

    def _with_q1(self, numbers: Mapping[str, Json]) -> GateSummary:
        """Return the numbers with Q1."""
        return GateSummary.model_validate({**numbers, "q1": q1(GateNumbers.model_validate(numbers), self.threshold)})

    def store_day(self, start: datetime, branch: str | None = None) -> Stored:
        """Compute and store a closed UTC day; see the SQL function `store_gate_snapshot` for repeated calls."""
        window = {"kind": "daily", "window_start": _text(start), "branch": branch or self.branch}
        return self._stored(KeptWindow.model_validate(self._transport.call("store_gate_snapshot", window)))

    def store_rolling(self, branch: str | None = None) -> Stored:
        """Compute and store the last 24 hours."""
        window = {"kind": "rolling", "branch": branch or self.branch}
        return self._stored(KeptWindow.model_validate(self._transport.call("store_gate_snapshot", window)))

    def snapshots(self, days: int = 30, branch: str | None = None) -> list[Stored]:
        """Return stored days, newest first."""
        return [self._stored(row) for row in self._snapshot_rows(days, branch)]

    def snapshot_numbers(self, days: int, branch: str | None = None) -> list[GateNumbers]:
        """Return the numbers of stored days without Q1, for a backtest."""
        return [GateNumbers.model_validate(row.numbers) for row in self._snapshot_rows(days, branch)]

    def store_week(self, week: str, branch: str | None = None) -> tuple[WeeklySummary, str]:
        """Compute and store a week that is over; return the week and the outcome, see `Stored`."""
        window = {"window_start": _text(start_of(week)), "branch": branch or self.branch}
        kept = KeptWindow.model_validate(self._transport.call("store_weekly_summary", window))
        return self.weekly(week, branch), kept.outcome

    def publish_week(self, week: str | None = None, branch: str | None = None) -> PublishedWeek:
        """Return a week and its chart, which is stored as an artifact; the week is stored too if it is over."""
        found = self._week(week, branch)
        name = week_of(found.summary.window.start)
        # By the database's clock: numbers that are not stored were computed now.
        over = found.revision or found.computed_at - found.summary.window.end > _SETTLE_TIME
        summary = self.store_week(name, branch)[0] if over else self.weekly(name, branch)
        chart = self.keep_file(f"week-{summary.week}.svg", "image/svg+xml", week_chart(summary), "svg")
        return PublishedWeek(summary, chart)

    def last_week(self) -> str:
        """Return the latest week that is over, by the database's clock."""
        return week_of(self.numbers(hours=0.001).window.end - timedelta(days=7))

    def current_week(self) -> str:
        """Return the current week, by the database's clock."""
        return week_of(self.numbers(hours=0.001).window.end)

    def same_part_of_last_week(self, week: WeeklySummary) -> GateSummary | None:
        """Return the numbers of the previous week up to the same time of the week; None if the week is over."""
        now = self.numbers(hours=0.001).window.end
        if now >= week.end or now <= week.start:
            return None
        return self.summary(start=week.start - timedelta(days=7), end=now - timedelta(days=7), branch=week.branch)

    def weekly(self, week: str | None = None, branch: str | None = None) -> WeeklySummary:
        """Return a week (default: the last completed week) with the week before; stored numbers are preferred."""
        this = self._week(week, branch)
        chosen = week_of(this.summary.window.start)
        last = self._week(week_of(this.summary.window.start - timedelta(days=7)), branch)
        return WeeklySummary(
            week=chosen,
            start=this.summary.window.start,
            end=this.summary.window.end,
            branch=this.summary.branch,
            complete=this.complete,
            this_week=this.summary,
            last_week=last.summary,
            change=change(this.summary, last.summary),
            markdown=markdown(chosen, this.summary, last.summary, complete=this.complete),
        )

    def _week(self, week: str | None, branch: str | None) -> Stored:
        window = {"window_start": _text(start_of(week)) if week else None, "branch": branch or self.branch}
        return self._stored(StoredWindow.model_validate(self._transport.call("weekly_numbers", window)))

    def _snapshot_rows(self, days: int, branch: str | None) -> list[StoredWindow]:
        filters = {"kind": "daily", "branch": branch or self.branch, "max_snapshots": days}
        return read_list(StoredWindow, self._transport.call("list_gate_snapshots", filters))

    def _stored(self, row: StoredWindow) -> Stored:
        return Stored(
            outcome=row.outcome if isinstance(row, KeptWindow) else None,
            complete=row.complete,
            revision=row.revision,
            computed_at=row.computed_at,
            summary=self._with_q1(row.numbers | {"providers": row.providers}),
        )

    def _run(self, row: GateRunRow) -> GateRun:
        return GateRun.model_validate(row.document).with_urls(self._address)


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
