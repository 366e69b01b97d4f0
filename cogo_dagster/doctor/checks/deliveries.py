"""Checks of the delivery of alerts."""

from collections.abc import Iterator
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.queue.rows.alerts import AlertTarget, AlertTargets

_SILENT_SECONDS: Final = 3_600.0


def check_deliveries(health: AlertTargets) -> Iterator[Finding]:
    """Check each target that was used within a week, and that failures are evaluated regularly."""
    for target in health.targets:
        if not target.disabled:
            yield _target(target)
    ago = health.promoted_seconds_ago
    if health.targets and (not isinstance(ago, float) or ago > _SILENT_SECONDS):
        since = f"for {ago / 3_600:.0f} h" if isinstance(ago, float) else "yet"
        advice = "Start the Dagster sensor undelivered_alerts, or run `cogo alerts deliver` regularly."
        yield warning("alerts", f"No alerts have been evaluated {since}.", advice)


def _target(target: AlertTarget) -> Finding:
    check, name = f"delivery_{target.target}", target.target
    if target.removed:
        message = f"{name} is no longer in WEBHOOK_TYPE of any process; messages that were not sent: {target.unsent}."
        advice = f"Add it again to send them, or run `cogo alerts forget {name}`."
        return warning(check, message, advice)
    if not target.healthy:
        reason = (target.last_error or {}).get("message", "unknown reason")
        message = f"Consecutive failed deliveries to {name}: {target.consecutive_failures}; last error: {reason}"
        return failed(check, message, f"Fix the cause, then run `cogo alerts test {name}`.")
    if target.dead:
        message = f"Dead deliveries to {name}: {target.dead}."
        return warning(
            check, message, "List them with `cogo alerts deliveries`, and send them again with `cogo alerts replay`."
        )
    if target.consecutive_failures and target.pending:
        reason = (target.last_error or {}).get("message", "unknown reason")
        message = f"Deliveries to {name} that wait for another attempt: {target.pending}; last error: {reason}"
        return warning(check, message, f"If it continues, run `cogo alerts test {name}`.")
    return ok(check, f"Deliveries to {name}: {target.delivered} delivered, {target.pending} pending.")
