"""The Dagster jobs that materialize and check the gate's assets."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.hooks import HOOKS
from cogo_dagster.dagster_support.run_status import max_runtime
from cogo_dagster.defs.quality.assets import provider_health

_KEEPING_SECONDS: Final = 3_600
_PROBING_SECONDS: Final = 900

snapshot_gate = dg.define_asset_job(
    "snapshot_gate",
    dg.AssetSelection.assets(asset_keys.GATE_SNAPSHOT),
    hooks=HOOKS,
    description="Store the numbers of a past day, and check Q1.",
    tags=max_runtime(_KEEPING_SECONDS),
)
summarize_week = dg.define_asset_job(
    "summarize_week",
    dg.AssetSelection.assets(asset_keys.WEEKLY_SUMMARY, asset_keys.WEEKLY_MESSAGE),
    hooks=HOOKS,
    description="Store the summary of a week, then enqueue the job that sends it.",
    tags=max_runtime(_KEEPING_SECONDS),
)
check_health = dg.define_asset_job(
    "check_health",
    dg.AssetSelection.assets(provider_health) | dg.AssetSelection.checks_for_assets(asset_keys.JOBS),
    hooks=HOOKS,
    description="Probe the providers, and check the queue and its database.",
    tags=max_runtime(_PROBING_SECONDS),
)
