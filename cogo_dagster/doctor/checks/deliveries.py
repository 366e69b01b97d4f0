"""How the deliveries of alerts went, read as findings."""

from collections.abc import Iterator
from typing import Final

from cogo_dagster.doctor.findings import Finding, failed, ok, warning
from cogo_dagster.queue.rows.alerts import AlertTarget, AlertTargets

_SILENT_SECONDS: Final = 3_600.0


def check_deliveries(health: AlertTargets) -> Iterator[Finding]:
    """Say of each target that was used within a week how it does, and whether somebody looks for failures at all."""
    for target in health.targets:
        if not target.disabled:
            yield _target(target)
    ago = health.promoted_seconds_ago
    if health.targets and (not isinstance(ago, float) or ago > _SILENT_SECONDS):
        since = f"for {ago / 3_600:.0f} h not" if isinstance(ago, float) else "never"
        advice = "Let Dagster's sensor undelivered_alerts run, or `cogo alerts deliver` regularly."
        yield warning("alerts", f"Failures were {since} looked for.", advice)


def _target(target: AlertTarget) -> Finding:
    check, name = f"delivery_{target.target}", target.target
    if not target.healthy:
        said = (target.last_error or {}).get("message", "no reason is known")
        sentence = f"{target.consecutive_failures} deliveries to {name} failed one after another: {said}"
        return failed(check, sentence, f"Mend it and try with `cogo alerts test {name}`.")
    if target.dead:
        sentence = f"{target.dead} messages to {name} were given up."
        return warning(check, sentence, "`cogo alerts deliveries` shows them, `cogo alerts replay` sends them again.")
    return ok(check, f"{target.delivered} messages were delivered to {name}, {target.pending} are waiting.")
