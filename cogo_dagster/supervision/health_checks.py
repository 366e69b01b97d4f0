"""Whether the queue is well, as pure functions of its numbers: what the asset checks say."""

from dataclasses import dataclass, field
from typing import Literal

from cogo_dagster.queue.rows.stats import DatabaseHealth, QueueStats

Severity = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check says.

    Attributes:
        sentence: What was found, and what to do where it is not well.
        numbers: What it was found from.
    """

    severity: Severity
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict)


def dlq_depth(stats: QueueStats, *, warn: int = 1, error: int = 100) -> CheckResult:
    """Judge how many dead letters wait for somebody."""
    open_letters = stats.dlq_open
    what = f"{open_letters:,} dead letters are open"
    return CheckResult(
        _grade(open_letters, warn, error),
        f"{what}: `cogo list incidents` groups them by cause." if open_letters else "No dead letter is open.",
        {"dlq_open": open_letters},
    )


def oldest_queued_age(stats: QueueStats, *, warn: float = 900, error: float = 3_600) -> CheckResult:
    """Judge how long the oldest job that is due has waited."""
    seconds = round(stats.oldest_ready_seconds, 1)
    hint = "" if seconds < warn else ": are there workers, and do they run its type? `cogo list jobs --why` says."
    sentence = f"The oldest of {stats.ready:,} due jobs has waited {seconds:,.0f} s{hint or '.'}"
    return CheckResult(
        _grade(seconds, warn, error),
        sentence if stats.ready else "No job is due.",
        {"oldest_ready_seconds": seconds, "ready": stats.ready, "workers_alive": stats.workers_alive},
    )


def lease_losses(lost: int, attempts: int, *, warn: int = 1, error_share: float = 0.01) -> CheckResult:
    """Judge how many attempts of a day were lost with their worker."""
    share = lost / attempts if attempts else 0
    severity = "error" if lost >= warn and share > error_share else _grade(lost, warn, None)
    hint = ": look for workers that were killed or starved." if lost else "."
    sentence = f"{lost:,} of {attempts:,} attempts of the last 24 hours lost their lease{hint}"
    return CheckResult(severity, sentence, {"lost": lost, "attempts": attempts})


def database_health(numbers: DatabaseHealth) -> CheckResult:
    """Judge dead rows, old transactions and the age of transaction ids."""
    live, dead = numbers.jobs_live, numbers.jobs_dead
    oldest, age = numbers.oldest_transaction_seconds, numbers.transaction_id_age
    trouble = [
        (
            dead > 20_000 and dead > live,
            "warn",
            f"{dead:,} dead rows stand beside {live:,} live jobs: is vacuum kept off?",
        ),
        (oldest > 900, "warn", f"a transaction is open for {oldest:,.0f} s: end it"),
        (oldest > 14_400, "error", "it has been for hours, and keeps every dead row"),
        (age > 1_000_000_000, "error", f"transaction ids are {age:,} old: vacuum before they wrap around"),
    ]
    found = [(severity, words) for holds, severity, words in trouble if holds]
    severity: Severity = "error" if any(s == "error" for s, _ in found) else "warn" if found else "ok"
    sentence = "; ".join(words for _, words in found) or f"{live:,} jobs, {dead:,} dead rows, no old transaction"
    counted = {name: float(value) for name, value in numbers}
    return CheckResult(severity, f"{sentence[0].upper()}{sentence[1:].rstrip('.')}.", counted)


def _grade(value: float, warn: float, error: float | None) -> Severity:
    if error is not None and value >= error:
        return "error"
    return "warn" if value >= warn else "ok"
