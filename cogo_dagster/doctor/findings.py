"""Results of checks: a state, a message and advice."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cogo_dagster.redaction import redact

_MAX_THREADS: Final = 8


class State(StrEnum):
    """State of a check, worst first; `unused` if the settings do not need it."""

    FAILED = "failed"
    WARNING = "warning"
    OK = "ok"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check.

    Attributes:
        check: Stable name of the check.
        sentence: What was found.
        advice: What to do; None if nothing is to be done.
    """

    check: str
    state: State
    sentence: str
    advice: str | None = None


Check = Callable[[], Iterable[Finding]]


def ok(check: str, message: str) -> Finding:
    """Return a finding for a service that works."""
    return Finding(check, State.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return a finding for a service that works with restrictions, or will stop working."""
    return Finding(check, State.WARNING, message, advice)


def failed(check: str, message: str, advice: str) -> Finding:
    """Return a finding for a service that does not work."""
    return Finding(check, State.FAILED, message, advice)


def unused(check: str, message: str) -> Finding:
    """Return a finding for a service that the settings do not use."""
    return Finding(check, State.UNUSED, message)


def run_checks(checks: Sequence[tuple[str, Check]], secrets: Iterable[str] = ()) -> list[Finding]:
    """Run checks concurrently and return their findings in order, redacted; an exception is a failed check."""
    hidden = tuple(secrets)
    with ThreadPoolExecutor(_MAX_THREADS) as threads:
        found = threads.map(lambda named: _run_check(*named), checks)
        return [_redacted(finding, hidden) for group in found for finding in group]


def _run_check(name: str, check: Check) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - the other checks must be reported
        message = f"The check raised {type(error).__name__}: {error}"
        return [failed(name, message, "Report this as a bug, with the output of the command.")]


def _redacted(finding: Finding, secrets: Sequence[str]) -> Finding:
    advice = redact(finding.advice, secrets) if finding.advice else None
    return Finding(finding.check, finding.state, redact(finding.sentence, secrets), advice)
