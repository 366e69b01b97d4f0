"""The asset check Q1 of a day."""

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.quality.records import Stored


@dg.asset_check(
    asset=asset_keys.GATE_SNAPSHOT,
    blocking=True,
    description=(
        "Q1: enough of the day's gate runs passed. On the newest day a failure is an error, which fails the run and "
        "blocks downstream assets; a failure on an older day, or too little data, is a warning."
    ),
)
def gate_q1(context: dg.AssetCheckExecutionContext, cogo: CogoResource) -> dg.AssetCheckResult:
    """Evaluate the newest day of the run; without partitions, the newest stored day."""
    kept = cogo.application.gates.snapshots(1_000)
    op = context.op_execution_context
    days = set(op.partition_keys) if op.has_partition_key or op.has_partition_key_range else None
    judged = next((day for day in kept if days is None or f"{day.summary.window.start:%Y-%m-%d}" in days), None)
    if judged is None:
        message = "No day is stored yet: materialize gate_snapshot first."
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=message)
    return _verdict(judged, newest=judged is kept[0])


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
