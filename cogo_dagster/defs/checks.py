"""Asset checks: the gate's verdict on a day, and whether the queue is well."""

from typing import Final

import dagster as dg

from cogo_dagster.defs.gate import gate_snapshot
from cogo_dagster.defs.reporting import JOBS_ASSET
from cogo_dagster.defs.resources import CogoResource
from cogo_dagster.quality.records import Stored
from cogo_dagster.supervision import health_checks
from cogo_dagster.supervision.health_checks import CheckResult

_SEVERITIES: Final = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


@dg.asset_check(
    asset=gate_snapshot,
    blocking=True,
    description=(
        "Q1: enough of the day's gate runs passed. Red on the newest closed day is an error, which fails the run and "
        "holds back what follows; red on an older day, and too little data for a verdict, are warnings."
    ),
)
def gate_q1(context: dg.AssetCheckExecutionContext, cogo: CogoResource) -> dg.AssetCheckResult:
    """Judge the newest day of the run; without one, the newest that is kept."""
    kept = cogo.application.gates.snapshots(1_000)
    op = context.op_execution_context
    days = set(op.partition_keys) if op.has_partition_key or op.has_partition_key_range else None
    judged = next((day for day in kept if days is None or f"{day.summary.window.start:%Y-%m-%d}" in days), None)
    if judged is None:
        sentence = "No day is kept yet: materialize gate_snapshot first."
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=sentence)
    return _verdict(judged, newest=judged is kept[0])


@dg.asset_check(asset=JOBS_ASSET, description="Dead letters that wait for somebody: one warns, a hundred are an error.")
def dlq_depth(cogo: CogoResource) -> dg.AssetCheckResult:
    """Count the open letters."""
    return _result(health_checks.dlq_depth(cogo.queue.stats()))


@dg.asset_check(asset=JOBS_ASSET, description="How long the oldest due job has waited: a quarter of an hour, an hour.")
def oldest_queued_age(cogo: CogoResource) -> dg.AssetCheckResult:
    """Look at the head of the queue."""
    return _result(health_checks.oldest_queued_age(cogo.queue.stats()))


@dg.asset_check(asset=JOBS_ASSET, description="Attempts of the last 24 hours that lost their lease with their worker.")
def lease_losses(cogo: CogoResource) -> dg.AssetCheckResult:
    """Count the lost attempts."""
    return _result(health_checks.lease_losses(cogo.application.gates.numbers()["jobs"]))


@dg.asset_check(asset=JOBS_ASSET, description="Dead rows, old transactions, the age of transaction ids.")
def database_health(cogo: CogoResource) -> dg.AssetCheckResult:
    """Look at the database."""
    return _result(health_checks.database_health(cogo.application.transport.call("database_health", {})))


def _verdict(judged: Stored, *, newest: bool) -> dg.AssetCheckResult:
    q1, window = judged.summary.q1, judged.summary.window
    red = q1.verdict == "fail" and newest
    return dg.AssetCheckResult(
        passed=q1.verdict == "pass",
        severity=dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN,
        description=f"{window.start:%Y-%m-%d}: {q1.reason}",
        metadata={
            "verdict": q1.verdict,
            "runs": q1.runs,
            "min_pass_rate": float(q1.min_pass_rate),
            **({"pass_rate": float(q1.pass_rate)} if q1.pass_rate is not None else {}),
        },
    )


def _result(finding: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.severity == "ok",
        severity=_SEVERITIES.get(finding.severity, dg.AssetCheckSeverity.WARN),
        description=finding.sentence,
        metadata=finding.numbers,
    )


queue_checks: Final = [dlq_depth, oldest_queued_age, lease_losses, database_health]
