"""Where an alert's cause can be inspected: pages of the dashboard and of the Dagster UI, and commands. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.search.terms import search_for


@dataclass(frozen=True, slots=True)
class Reference:
    """A page.

    Attributes:
        path: Path and query below the address of the dashboard, or of the Dagster UI.
    """

    title: str
    path: str
    in_dagster: bool = False


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What an alert is about.

    Attributes:
        refs: `job_id`, `run_id`, `artifact_id`, `evidence_id` with its name `evidence`, `instance_id`, `family`,
            `executor_id` and `gate_run_id`, if they are known.
    """

    kind: str
    subject: str
    fingerprint: str
    refs: Mapping[str, Json]

    def ref(self, name: str) -> str | None:
        """Return a reference as text; None if there is none."""
        value = self.refs.get(name)
        return str(value) if value else None


def references(facts: AlertFacts) -> tuple[Reference, ...]:
    """Return the pages of an alert, the most specific first."""
    return (*_PAGES.get(facts.kind, _no_pages)(facts), *_pages_of_refs(facts))


def command(facts: AlertFacts) -> str | None:
    """Return the command that shows the details of an alert; None if its pages are in the Dagster UI only."""
    job_id = facts.ref("job_id")
    if job_id:
        return f"cogo job show {job_id}"
    template = _COMMANDS.get(facts.kind)
    return template.format(subject=facts.subject) if template else None


def _no_pages(_: AlertFacts) -> Iterator[Reference]:
    yield from ()


def _cause(facts: AlertFacts) -> Iterator[Reference]:
    yield Reference("Cause", f"/dashboard/dlq?fingerprint={_quoted(facts.fingerprint)}")


def _worker(facts: AlertFacts) -> Iterator[Reference]:
    instance_id = facts.ref("instance_id")
    yield Reference("Worker", f"/dashboard/workers#w-{instance_id}" if instance_id else "/dashboard/workers")
    yield Reference("Jobs of the worker", _search(worker=facts.subject))


def _workers(_: AlertFacts) -> Iterator[Reference]:
    yield Reference("Workers", "/dashboard/workers")


def _gate(facts: AlertFacts) -> Iterator[Reference]:
    gate_run_id = facts.ref("gate_run_id")
    if gate_run_id:
        yield Reference("Gate run", f"/dashboard/gate/{_quoted(gate_run_id)}")
    yield Reference("Gate runs", "/dashboard/gate")


def _waiting(facts: AlertFacts) -> Iterator[Reference]:
    family, executor_id = facts.ref("family") or facts.subject, facts.ref("executor_id")
    address = {"executor": executor_id} if executor_id else {}
    yield Reference("Due jobs", _search(family=family, **{"is": "due"}, **address))


def _provider(_: AlertFacts) -> Iterator[Reference]:
    yield Reference("Providers", "/dashboard/local#providers")


def _targets(_: AlertFacts) -> Iterator[Reference]:
    yield Reference("Targets", "/dashboard/alerts#targets")


def _sensor(facts: AlertFacts) -> Iterator[Reference]:
    yield Reference("Sensor", f"/locations/cogo/sensors/{_quoted(facts.subject)}", in_dagster=True)


def _schedule(facts: AlertFacts) -> Iterator[Reference]:
    yield Reference("Schedule", f"/locations/cogo/schedules/{_quoted(facts.subject)}", in_dagster=True)


def _pages_of_refs(facts: AlertFacts) -> Iterator[Reference]:
    job_id, run_id = facts.ref("job_id"), facts.ref("run_id")
    evidence_id, artifact_id = facts.ref("evidence_id"), facts.ref("artifact_id")
    if job_id:
        yield Reference("Job", f"/dashboard/jobs/{_quoted(job_id)}")
    if job_id and evidence_id:
        title = "Trace" if (facts.ref("evidence") or "").endswith("trace.zip") else "Evidence"
        yield Reference(title, f"/dashboard/jobs/{_quoted(job_id)}#artifact-{_quoted(evidence_id)}")
    if run_id:
        yield Reference("Dagster run", f"/runs/{_quoted(run_id)}", in_dagster=True)
    if artifact_id and artifact_id != evidence_id:
        yield Reference("Artifact", f"/api/artifacts/{_quoted(artifact_id)}/content")


def _quoted(text: str) -> str:
    return quote(text[:200], safe="")


def _search(**qualifiers: str) -> str:
    return f"/dashboard/jobs?q={quote(search_for(qualifiers), safe='')}"


_PAGES: Final[Mapping[str, Callable[[AlertFacts], Iterator[Reference]]]] = {
    "job_failed": _cause,
    "worker_dead": _worker,
    "executor_unavailable": _workers,
    "gate_failed": _gate,
    "jobs_stranded": _waiting,
    "no_worker_for_family": _waiting,
    "provider_unreachable": _provider,
    "target_failing": _targets,
    "target_removed": _targets,
    "sensor_failing": _sensor,
    "schedule_missed": _schedule,
}

_COMMANDS: Final[Mapping[str, str]] = {
    "worker_dead": "cogo list workers",
    "executor_unavailable": "cogo doctor",
    "gate_failed": "cogo gate runs",
    "jobs_stranded": "cogo stats",
    "no_worker_for_family": "cogo stats",
    "provider_unreachable": "cogo router probe",
    "target_failing": "cogo alerts test {subject}",
    "target_removed": "cogo alerts health",
    "snapshot_held": "cogo doctor",
    "database_down": "cogo doctor",
}
