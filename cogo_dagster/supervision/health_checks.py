"""Asset checks of the queue, as pure functions of its statistics."""

from dataclasses import dataclass, field
from typing import Literal

from cogo_dagster.queue.rows.stats import DatabaseHealth, QueueStats

Severity = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check.

    Attributes:
        message: What was found, with advice unless the severity is ok.
        numbers: The values that were checked.
    """

    severity: Severity
    message: str
    numbers: dict[str, float] = field(default_factory=dict)


def dlq_depth(stats: QueueStats, *, warn: int = 1, error: int = 100) -> CheckResult:
    """Check the number of dead-lettered jobs."""
    open_jobs = stats.dlq_open
    message = f"Dead-lettered jobs: {open_jobs:,}"
    return CheckResult(
        _severity(open_jobs, warn, error),
        f"{message}; `cogo list incidents` groups them by error." if open_jobs else "No dead-lettered jobs.",
        {"dlq_open": open_jobs},
    )


def oldest_queued_age(stats: QueueStats, *, warn: float = 900, error: float = 3_600) -> CheckResult:
    """Check how long the oldest due job has waited."""
    seconds = round(stats.oldest_ready_seconds, 1)
    hint = "" if seconds < warn else ": check that workers run its type; `cogo list jobs --why` explains it."
    message = f"Due jobs: {stats.ready:,}; the oldest has waited for {seconds:,.0f} s{hint or '.'}"
    return CheckResult(
        _severity(seconds, warn, error),
        message if stats.ready else "No jobs are due.",
        {"oldest_ready_seconds": seconds, "ready": stats.ready, "workers_alive": stats.workers_alive},
    )


def lease_losses(lost: int, attempts: int, *, warn: int = 1, error_share: float = 0.01) -> CheckResult:
    """Check the number of attempts of a day that lost their lease."""
    share = lost / attempts if attempts else 0
    severity = "error" if lost >= warn and share > error_share else _severity(lost, warn, None)
    hint = ": look for workers that were killed, or had no CPU time." if lost else "."
    message = f"{lost:,} of {attempts:,} attempts of the last 24 hours lost their lease{hint}"
    return CheckResult(severity, message, {"lost": lost, "attempts": attempts})


def database_health(numbers: DatabaseHealth) -> CheckResult:
    """Check dead rows, long transactions and the age of transaction IDs."""
    live, dead = numbers.jobs_live, numbers.jobs_dead
    oldest, age = numbers.oldest_transaction_seconds, numbers.transaction_id_age
    problems = [
        (
            dead > 20_000 and dead > live,
            "warn",
            f"{dead:,} dead rows for {live:,} live jobs: check that autovacuum runs",
        ),
        (oldest > 900, "warn", f"a transaction has been open for {oldest:,.0f} s: end it"),
        (oldest > 14_400, "error", "it prevents vacuum from removing dead rows"),
        (age > 1_000_000_000, "error", f"transaction IDs are {age:,} old: run vacuum before they wrap around"),
    ]
    found = [(severity, problem) for holds, severity, problem in problems if holds]
    severity: Severity = "error" if any(s == "error" for s, _ in found) else "warn" if found else "ok"
    message = "; ".join(problem for _, problem in found) or f"{live:,} jobs, {dead:,} dead rows, no long transaction"
    counted = {name: float(value) for name, value in numbers}
    return CheckResult(severity, f"{message[0].upper()}{message[1:].rstrip('.')}.", counted)


def _severity(value: float, warn: float, error: float | None) -> Severity:
    if error is not None and value >= error:
        return "error"
    return "warn" if value >= warn else "ok"
