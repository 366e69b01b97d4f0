"""The quality assets without partitions: gate runs and the health of providers."""

from datetime import timedelta
from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.resources import CogoResource

gate_runs: Final = dg.AssetSpec(
    asset_keys.GATE_RUNS,
    deps=[asset_keys.ARTIFACTS, asset_keys.JOBS],
    description=(
        "One row per evaluation of a commit, by gate jobs or by `cogo gate record` in CI. Each one is an observation, "
        "with links to its job, reports, day and week."
    ),
    group_name="quality",
    kinds={"postgres"},
    owners=asset_keys.OWNERS,
)


@dg.asset(
    group_name="quality",
    owners=asset_keys.OWNERS,
    kinds={"http"},
    description="Whether the providers of jobs respond to a GET request.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3)),
)
def provider_health(cogo: CogoResource) -> dg.MaterializeResult[None]:
    """Probe all providers and record the results."""
    results = cogo.application.probe_providers()
    healthy = sum(result.healthy for result in results)
    rows = [dg.TableRecord(dict(result.to_json())) for result in results]
    table = {"providers": dg.MetadataValue.table(rows)} if rows else {}
    return dg.MaterializeResult(metadata={"healthy": healthy, "unhealthy": len(results) - healthy, **table})
