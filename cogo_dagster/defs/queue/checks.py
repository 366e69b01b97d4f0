"""Asset checks of the queue and its database."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.supervision import health_checks
from cogo_dagster.supervision.health_checks import CheckResult

_SEVERITIES: Final = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


@dg.asset_check(
    asset=asset_keys.JOBS, description="Dead letters that wait for somebody: one warns, a hundred are an error."
)
def dlq_depth(cogo: CogoResource) -> dg.AssetCheckResult:
    """Count the open letters."""
    return _result(health_checks.dlq_depth(cogo.queue.stats()))


@dg.asset_check(
    asset=asset_keys.JOBS, description="How long the oldest due job has waited: a quarter of an hour, an hour."
)
def oldest_queued_age(cogo: CogoResource) -> dg.AssetCheckResult:
    """Look at the head of the queue."""
    return _result(health_checks.oldest_queued_age(cogo.queue.stats()))


@dg.asset_check(
    asset=asset_keys.JOBS, description="Attempts of the last 24 hours that lost their lease with their worker."
)
def lease_losses(cogo: CogoResource) -> dg.AssetCheckResult:
    """Count the lost attempts."""
    jobs = cogo.application.gates.numbers().jobs
    return _result(health_checks.lease_losses(jobs.lost, jobs.attempts))


@dg.asset_check(asset=asset_keys.JOBS, description="Dead rows, old transactions, the age of transaction ids.")
def database_health(cogo: CogoResource) -> dg.AssetCheckResult:
    """Look at the database."""
    return _result(health_checks.database_health(cogo.queue.database_health()))


def _result(finding: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.severity == "ok",
        severity=_SEVERITIES.get(finding.severity, dg.AssetCheckSeverity.WARN),
        description=finding.message,
        metadata=finding.numbers,
    )
