"""What a check found: a state, one sentence, and what to do about it."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cogo_dagster.redaction import redact

_AT_ONCE: Final = 8


class State(StrEnum):
    """How it is; `unused` is what the settings do without."""

    FAILED = "failed"
    WARNING = "warning"
    OK = "ok"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: The check's stable name.
        advice: What to do; None where there is nothing to do.
    """

    check: str
    state: State
    sentence: str
    advice: str | None = None


Check = Callable[[], Iterable[Finding]]


def ok(check: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(check, State.OK, sentence)


def warning(check: str, sentence: str, advice: str) -> Finding:
    """It works, but not for long or not as well as it could."""
    return Finding(check, State.WARNING, sentence, advice)


def failed(check: str, sentence: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, State.FAILED, sentence, advice)


def unused(check: str, sentence: str) -> Finding:
    """The settings do without it."""
    return Finding(check, State.UNUSED, sentence)


def examine(checks: Sequence[tuple[str, Check]], secrets: Iterable[str] = ()) -> list[Finding]:
    """Run checks side by side and return what they found, in their order; a check that breaks has failed."""
    hidden = tuple(secrets)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = threads.map(lambda named: _examined(*named), checks)
        return [_redacted(finding, hidden) for group in found for finding in group]


def _examined(name: str, check: Check) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - the other checks' answers must not be lost
        sentence = f"The check broke ({type(error).__name__}: {error})."
        return [failed(name, sentence, "Report this with the command's output.")]


def _redacted(finding: Finding, secrets: Sequence[str]) -> Finding:
    advice = redact(finding.advice, secrets) if finding.advice else None
    return Finding(finding.check, finding.state, redact(finding.sentence, secrets), advice)
