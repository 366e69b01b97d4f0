"""Values that templates derive from rows: labels, icons, colours and addresses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from cogo_dagster.alerts.references import AlertFacts, references
from cogo_dagster.formatting.explanation import short_reason
from cogo_dagster.formatting.timeline import Moment
from cogo_dagster.formatting.values import error_line, one_line, span
from cogo_dagster.links import dagster_page
from cogo_dagster.quality.records import GateRun
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.alerts import AlertRow, AlertTarget
from cogo_dagster.queue.rows.jobs import FoundJob, JobRow
from cogo_dagster.queue.search.qualifiers import STATUSES
from cogo_dagster.queue.search.terms import search_for
from cogo_dagster.queue.stats import Numbers, WaitReason
from cogo_dagster.settings import Settings
from cogo_dagster.supervision.replays import is_after
from cogo_dagster.web.filters import UNKNOWN, ago, counted, in_json, in_seconds, number
from cogo_dagster.web.payload_form import FormField

_ICONS: Final = dict(zip(STATUSES, STATUSES, strict=True)) | {
    "lost": "warn",
    "pass": "succeeded",
    "fail": "failed",
    "released": "queued",
    "snoozed": "queued",
}

_LAUNCH_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Label:
    """A label: text, the status that gives its colour, and its icon."""

    label: str
    tone: str
    icon: str


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of the navigation.

    Attributes:
        brief: Its label on a narrow screen.
        also: Other pages that belong to it.
    """

    href: str
    icon: str
    name: str
    brief: str | None = None
    also: tuple[str, ...] = ()

    def is_current(self, path: str) -> bool:
        """Whether a path is this page or below it."""
        return path in (self.href, *self.also) or path.startswith(f"{self.href}/")


TABS: Final = (
    Tab("/dashboard/local", "home", "Overview"),
    Tab("/dashboard/jobs", "jobs", "Jobs"),
    Tab("/dashboard/dlq", "dlq", "Dead-letter queue", "DLQ"),
    Tab("/dashboard/workers", "workers", "Workers"),
    Tab("/dashboard/gate", "gate", "Gate", also=("/dashboard/weeks", "/dashboard/history")),
    Tab("/dashboard/alerts", "alerts", "Alerts"),
    Tab("/dashboard/log", "log", "Log"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A number at the top of the overview, with a link to the jobs it counts."""

    label: str
    value: str
    note: str
    href: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link to a page of the dashboard or of the Dagster UI."""

    title: str
    href: str


@dataclass(frozen=True, slots=True)
class ReportLink:
    """A report of a gate run: label and URL."""

    label: str
    url: str | None


def icon(name: str) -> Markup:
    """Return an icon of the sprite `icons.html`."""
    return Markup('<svg aria-hidden="true"><use href="#i-{}"/></svg>').format(name)


def spaced(name: object) -> str:
    """Replace underscores by spaces."""
    return str(name).replace("_", " ")


def status_icon(status: str) -> str:
    """Return the icon of a job's status, an attempt's outcome or a gate run's status."""
    return _ICONS.get(status, "queued")


def job_search(**qualifiers: str | None) -> str:
    """Return the address of a job search, with quoted values."""
    return job_search_text(search_for({name: value or "" for name, value in qualifiers.items()}))


def job_search_text(typed: str) -> str:
    """Return the address of a job search, as it was typed."""
    return f"/dashboard/jobs?q={quote(typed)}"


def tiles(numbers: Numbers) -> list[Tile]:
    """Return the numbers at the top of the overview."""
    queued = number(numbers.queued, numbers.has_more_queued)
    ready = number(numbers.ready, numbers.has_more_ready)
    late = numbers.oldest_ready_seconds
    search = "/dashboard/jobs?q="
    return [
        Tile("Queued", queued, f"{ready} due", f"{search}status:queued"),
        Tile(
            "Oldest due",
            span(late) if numbers.ready else UNKNOWN,
            "waiting" if numbers.ready else "no due jobs",
            f"{search}is:due",
            "bad" if late > 900 else "warn" if late > 120 else "",
        ),
        Tile(
            "Running",
            number(numbers.running),
            f"of {counted(numbers.slots_alive, 'slot')}",
            f"{search}status:running",
            "warn" if numbers.expired_leases else "",
        ),
        Tile(
            "Succeeded",
            number(numbers.succeeded_24h),
            "in 24 h",
            f"{search}status:succeeded+finished:1d",
            "good" if numbers.succeeded_24h else "",
        ),
        Tile(
            "Failed",
            number(numbers.failed_24h),
            "in 24 h",
            f"{search}status:failed+finished:1d",
            "bad" if numbers.failed_24h else "",
        ),
        Tile("Dead-lettered", number(numbers.dlq_open), "open", "/dashboard/dlq", "bad" if numbers.dlq_open else ""),
        Tile(
            "Lease losses",
            number(numbers.jobs_with_lease_losses_24h),
            "jobs in 24 h",
            f"{search}lost:1d",
            "warn" if numbers.lease_losses_24h else "",
        ),
        Tile(
            "Workers",
            number(numbers.workers_alive),
            f"{counted(numbers.slots_free, 'slot')} free",
            "/dashboard/workers?alive=true",
            "bad" if has_no_worker(numbers) else "",
        ),
    ]


def has_no_worker(numbers: Numbers) -> bool:
    """Whether jobs have been due for a minute and no worker is alive: Dagster launches one within seconds."""
    return not numbers.workers_alive and numbers.ready > 0 and numbers.oldest_ready_seconds > _LAUNCH_SECONDS


def reason_query(reason: WaitReason) -> str:
    """Return the search for the jobs that wait for a reason."""
    condition = {"paused": "paused", "waiting": "scheduled"}.get(reason.why, "due")
    given = {"family": reason.family, "is": condition}
    if reason.executor_id is None:
        given["is"] += ",unaddressed"
    else:
        given["executor"] = reason.executor_id
    if reason.kind == "type" and reason.name:
        given["type"] = reason.name
    return search_for(given)


def reason_search(reason: WaitReason) -> str:
    """Return the address of the search for the jobs that wait for a reason."""
    return job_search_text(reason_query(reason))


def wait_reason(reason: WaitReason, now: datetime) -> str:
    """Return why queued jobs wait, in a few words."""
    return short_reason(reason, now)


def is_past(time: Json, now: datetime) -> bool:
    """Whether a time has passed; False if it is unreadable."""
    return isinstance(time, datetime) and time <= now


def is_stopping(job: JobRow) -> bool:
    """Whether cancellation of a running job was requested."""
    return job.cancel_requested and job.status == "running"


def about(job: FoundJob) -> str:
    """Return a one-line description of a job: its subject, else its idempotency key."""
    return one_line(job.subject) if job.subject else job.idempotency_key or ""


def progress(job: JobRow, now: datetime, reason: str | None = None) -> Markup | str:
    """Return why a queued job waits, the worker of a running one, or the run time of a finished one."""
    if job.status == "queued" and reason:
        return reason
    if job.status == "queued":
        return Markup("next {}").format(ago(job.next_run_at)) if is_after(job.next_run_at, now) else "due"
    if job.status == "running":
        return f"on {job.worker_id or '?'}"
    return "" if job.run_seconds is None else in_seconds(job.run_seconds)


def age(job: JobRow) -> Markup | str:
    """Return the time of the last change of status."""
    return ago(job.finished_at or job.claimed_at or job.created_at)


def with_gaps(moments: Sequence[Moment]) -> list[tuple[Moment, float | None]]:
    """Return each moment with the seconds since the previous one, if at least a millisecond."""
    gaps = [after.seconds_since(before) for before, after in pairwise(moments)]
    return list(zip(moments, [None, *(gap if gap and gap >= 0.001 else None for gap in gaps)], strict=True))


def alert_state(alert: AlertRow) -> Label:
    """Return the label of an alert."""
    state = "silenced" if alert.silenced else "retrying" if alert.retrying else alert.status
    tone = {"firing": "failed", "resolved": "succeeded"}.get(alert.status)
    return Label(state, tone or "queued", tone or "alerts")


def alert_pages(alert: AlertRow, settings: Settings) -> list[PageLink]:
    """Return the pages on which an alert's cause can be inspected, the most specific first."""
    facts = AlertFacts(alert.kind, alert.subject, alert.fingerprint, alert.refs if isinstance(alert.refs, dict) else {})
    return [
        PageLink(page.title, dagster_page(settings, page.path) if page.in_dagster else page.path)
        for page in references(facts)
    ]


def target_state(target: AlertTarget) -> Label:
    """Return the label of an alert target."""
    if target.removed:
        return Label("not configured", "cancelled", "cancelled")
    if target.healthy:
        return Label("healthy", "succeeded", "succeeded")
    return Label("disabled" if target.disabled else "failing", "failed", "failed")


def text_or_error(error: Json) -> str:
    """Return an error as one line, or a text unchanged."""
    return error if isinstance(error, str) else error_line(error)


def probe_state(healthy: bool) -> Label:
    """Return the label of a provider."""
    return Label("healthy", "succeeded", "succeeded") if healthy else Label("failing", "failed", "failed")


def verdict_state(verdict: str) -> Label:
    """Return the label of the gate's verdict."""
    labels = {"pass": "Passed", "fail": "Failed"}
    return Label(labels.get(verdict, "Not computed"), verdict, status_icon(verdict))


def percent(value: float | None, digits: int = 1) -> str:
    """Format a percentage; a dash if it is unknown."""
    return UNKNOWN if value is None else f"{value:.{digits}f} %"


def default_text(field: FormField) -> str:
    """Return the default of a field as it would be entered; empty if there is none."""
    if field.default in (None, "", [], {}, ()):
        return ""
    return field.default if isinstance(field.default, str) else in_json(field.default)


def known(value: object) -> object:
    """Return a value; a dash if it is None."""
    return UNKNOWN if value is None else value


def gate_reports(run: GateRun) -> list[ReportLink]:
    """Return the lint and coverage reports of a gate run."""
    lint = None if run.lint_errors is None else counted(run.lint_errors, "error")
    coverage = None if run.coverage_percent is None else percent(run.coverage_percent)
    given = ((lint, run.eslint_url), (coverage, run.coverage_url))
    return [ReportLink(label or ("report" if url else UNKNOWN), url) for label, url in given]


def gate_tests(run: GateRun) -> str:
    """Return passed and total tests of a gate run: `118/120`."""
    return UNKNOWN if run.tests_total is None else f"{run.tests_total - (run.tests_failed or 0)}/{run.tests_total}"
