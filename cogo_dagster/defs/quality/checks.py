"""The asset check Q1 of the days of a run."""

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.quality.records import Stored


@dg.asset_check(
    asset=asset_keys.GATE_SNAPSHOT,
    blocking=True,
    description=(
        "Q1: enough of the day's gate runs passed. Each day of a backfill has its own result. On the newest day a "
        "failure is an error, which fails the run and blocks downstream assets; a failure on an older day, or too "
        "little data, is a warning."
    ),
)
def gate_q1(context: dg.AssetCheckExecutionContext, cogo: CogoResource) -> dg.AssetCheckResult:
    """Evaluate each day of the run, and return the verdict of the newest; without partitions, of the newest stored."""
    kept = cogo.application.gates.snapshots(1_000)
    op = context.op_execution_context
    days = set(op.partition_keys) if op.has_partition_key or op.has_partition_key_range else None
    judged = [day for day in kept if days is None or _key(day) in days]
    if not judged:
        message = "No day is stored yet: materialize gate_snapshot first."
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=message)
    # Dagster plans a result per partition, but stores the returned one without a partition.
    for day in reversed(judged if days is not None else []):
        evaluation = _evaluation(context, _verdict(day, newest=day is kept[0]), _key(day))
        op.log_event(evaluation)  # type: ignore[arg-type] # accepted, but missing in the annotation
    return _verdict(judged[0], newest=judged[0] is kept[0])


def _key(day: Stored) -> str:
    return f"{day.summary.window.start:%Y-%m-%d}"


def _evaluation(
    context: dg.AssetCheckExecutionContext, verdict: dg.AssetCheckResult, day: str
) -> dg.AssetCheckEvaluation:
    """Return the result of one day as an event that names its partition and materialization."""
    filters = dg.AssetRecordsFilter(asset_key=asset_keys.GATE_SNAPSHOT, asset_partitions=[day])
    latest = context.instance.fetch_materializations(filters, limit=1).records
    return dg.AssetCheckEvaluation(
        asset_key=asset_keys.GATE_SNAPSHOT,
        check_name=gate_q1.check_key.name,
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.description,
        metadata=verdict.metadata,
        blocking=True,
        partition=day,
        target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
            storage_id=latest[0].storage_id, run_id=latest[0].run_id, timestamp=latest[0].timestamp
        )
        if latest
        else None,
    )


def _verdict(judged: Stored, *, newest: bool) -> dg.AssetCheckResult:
    q1, window = judged.summary.q1, judged.summary.window
    is_error = q1.verdict == "fail" and newest
    return dg.AssetCheckResult(
        passed=q1.verdict == "pass",
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=f"{window.start:%Y-%m-%d}: {q1.reason}",
        metadata={
            "verdict": q1.verdict,
            "runs": q1.runs,
            "min_pass_rate": number(q1.min_pass_rate),
            **({"pass_rate": number(q1.pass_rate)} if q1.pass_rate is not None else {}),
        },
    )
