"""Asset keys that several areas use, and properties common to all assets."""

from typing import Final

import dagster as dg

PAGES: Final = dg.AssetKey(["queue", "pages"])
JOBS: Final = dg.AssetKey(["queue", "jobs"])
ARTIFACTS: Final = dg.AssetKey(["queue", "artifacts"])
GATE_RUNS: Final = dg.AssetKey(["quality", "gate_runs"])
GATE_SNAPSHOT: Final = dg.AssetKey(["gate_snapshot"])
WEEKLY_SUMMARY: Final = dg.AssetKey(["weekly_summary"])
WEEKLY_MESSAGE: Final = dg.AssetKey(["weekly_message"])
PROVIDER_HEALTH: Final = dg.AssetKey(["provider_health"])

JOBS_OF_ASSETS: Final = {
    GATE_SNAPSHOT: "snapshot_gate",
    WEEKLY_SUMMARY: "summarize_week",
    WEEKLY_MESSAGE: "summarize_week",
    PROVIDER_HEALTH: "check_health",
    JOBS: "check_health",
}
"""The Dagster job that materializes or checks each asset."""

OWNERS: Final = ["team:cogo-operations"]
"""Owners of the assets. Owners of jobs, schedules and sensors are beta in Dagster and cause a warning at each load."""
