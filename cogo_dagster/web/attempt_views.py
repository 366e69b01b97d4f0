"""Attempts of a job as the page shows them: steps, evidence, and why there is no screenshot. Pure functions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cogo_dagster.formatting.browser_evidence import BrowserEvidence
from cogo_dagster.formatting.timeline import JobAttempt
from cogo_dagster.queue.model import Json, family_of
from cogo_dagster.queue.rows.artifacts import ArtifactRow
from cogo_dagster.queue.rows.jobs import StoredError, TruncatedJob

SCREENSHOT: Final = "screenshot.png"

_PLAYWRIGHT_TIMEOUT: Final = re.compile(r"Timeout (\d+)ms exceeded")

_OUTCOMES: Final = {
    "lost": "the worker lost its lease, so that its files were not stored",
    "released": "the attempt was interrupted by a stop of the worker",
    "requeued": "the attempt was interrupted by a stop of the worker",
    "snoozed": "the attempt was put off before a page was open",
    "cancelled": "the attempt was cancelled",
}


@dataclass(frozen=True, slots=True)
class StepBar:
    """A step in a waterfall.

    Attributes:
        left: Start of its bar, in per cent of the attempt.
        width: Length of its bar, in per cent, at least 0.5.
        error: Why it failed.
    """

    step: str
    duration_ms: int
    left: float
    width: float
    error: str | None

    @property
    def error_without_step(self) -> str:
        """Why it failed, without the name of the step in front."""
        return (self.error or "").removeprefix(f"{self.step}: ")


def waterfall(evidence: BrowserEvidence | None) -> list[StepBar]:
    """Return the steps of an attempt; each begins when the one before has ended."""
    if evidence is None:
        return []
    total = max(evidence.duration_ms, 1)
    bars, elapsed = [], 0
    for step in evidence.steps:
        width = max(100 * step.duration_ms / total, 0.5)
        left = min(100 * elapsed / total, 100 - width)
        bars.append(StepBar(step.step, step.duration_ms, round(left, 2), round(width, 2), step.error))
        elapsed += step.duration_ms
    return bars


def artifacts_by_attempt(
    attempts: Sequence[JobAttempt], artifacts: Sequence[ArtifactRow]
) -> tuple[list[list[ArtifactRow]], list[ArtifactRow]]:
    """Return the artifacts of each attempt, and those of no attempt in the list.

    Numbers repeat after a retry that resets them; then the time decides.
    """
    groups: list[list[ArtifactRow]] = [[] for _ in attempts]
    by_number: dict[int | None, list[int]] = {}
    for at, attempt in enumerate(attempts):
        by_number.setdefault(attempt.number, []).append(at)
    others = []
    for artifact in artifacts:
        matching = by_number.get(artifact.attempt, [])
        begun = [at for at in matching if _has_begun(attempts[at], artifact)]
        if matching:
            groups[(begun or matching)[-1]].append(artifact)
        else:
            others.append(artifact)
    return groups, others


def _has_begun(attempt: JobAttempt, artifact: ArtifactRow) -> bool:
    times = (attempt.claimed_at, artifact.created_at)
    return all(isinstance(time, datetime) for time in times) and times[0] <= times[1]  # type: ignore[operator]


def why_no_screenshot(
    job: TruncatedJob, attempt: JobAttempt, evidence: BrowserEvidence | None, names: Sequence[str | None]
) -> str | None:
    """Return why an attempt of a browser job has no screenshot; None if it has one, or still runs.

    Args:
        names: The names of the attempt's artifacts.
    """
    if family_of(job.type) != "browser" or attempt.outcome == "running" or SCREENSHOT in names:
        return None
    payload = job.payload if isinstance(job.payload, Mapping) else {}
    if attempt.outcome == "succeeded":
        return _why_not_kept(payload, job.result)
    if attempt.outcome in _OUTCOMES:
        return f"No screenshot: {_OUTCOMES[attempt.outcome]}."
    reason = _missing(evidence)
    if reason:
        waited = _PLAYWRIGHT_TIMEOUT.fullmatch(reason)
        if waited:
            reason = f"the page never finished loading; a picture was not possible within {int(waited[1]) / 1000:g} s"
        return f"No screenshot: {reason[:1].lower()}{reason[1:]}."
    if evidence is not None:
        return "No screenshot: it was deleted, or could not be stored."
    error = attempt.error.error_class if isinstance(attempt.error, StoredError) else None
    return f"No screenshot: the attempt failed before a page was open ({error or 'unknown error'})."


def _why_not_kept(payload: Mapping[str, Json], result: Json) -> str:
    if isinstance(result, Mapping) and result.get("mode") == "http":
        return "No screenshot: the page was fetched without a browser (REAL_MODE=false)."
    if payload.get("screenshot") is False:
        return "No screenshot: the payload has `screenshot: false`."
    return "No screenshot: it has been deleted after its retention period."


def _missing(evidence: BrowserEvidence | None) -> str | None:
    if evidence is None:
        return None
    if SCREENSHOT in evidence.missing:
        return evidence.missing[SCREENSHOT].rstrip(".")
    prefix = f"{SCREENSHOT} is missing: "  # records of earlier releases
    return next((note.removeprefix(prefix).rstrip(".") for note in evidence.notes if note.startswith(prefix)), None)
