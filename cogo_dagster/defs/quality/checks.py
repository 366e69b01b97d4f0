"""The gate's verdict on a day."""

import dagster as dg

from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.defs.quality.assets import gate_snapshot
from cogo_dagster.quality.records import Stored


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
