"""Asset checks of the queue and its database."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.supervision import health_checks
from cogo_dagster.supervision.health_checks import CheckResult

_SEVERITIES: Final = {"warn": dg.AssetCheckSeverity.WARN, "error": dg.AssetCheckSeverity.ERROR}


@dg.asset_check(
    asset=asset_keys.JOBS, description="Number of open dead-lettered jobs: a warning from 1, an error from 100."
)
def dlq_depth(cogo: CogoResource) -> dg.AssetCheckResult:
    """Check the size of the dead-letter queue."""
    return _result(health_checks.dlq_depth(cogo.queue.stats()))


@dg.asset_check(
    asset=asset_keys.JOBS, description="Wait of the oldest due job: a warning from 15 minutes, an error from an hour."
)
def oldest_queued_age(cogo: CogoResource) -> dg.AssetCheckResult:
    """Check the wait of the oldest due job."""
    return _result(health_checks.oldest_queued_age(cogo.queue.stats()))


@dg.asset_check(
    asset=asset_keys.JOBS,
    description="Number of attempts in the last 24 hours whose lease expired because their worker died.",
)
def lease_losses(cogo: CogoResource) -> dg.AssetCheckResult:
    """Check the number of lost leases."""
    jobs = cogo.application.gates.numbers().jobs
    return _result(health_checks.lease_losses(jobs.lost, jobs.attempts))


@dg.asset_check(asset=asset_keys.JOBS, description="Dead rows, old transactions, age of transaction IDs.")
def database_health(cogo: CogoResource) -> dg.AssetCheckResult:
    """Check the database."""
    return _result(health_checks.database_health(cogo.queue.database_health()))


def _result(finding: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.severity == "ok",
        severity=_SEVERITIES.get(finding.severity, dg.AssetCheckSeverity.WARN),
        description=finding.message,
        metadata=finding.numbers,
    )
