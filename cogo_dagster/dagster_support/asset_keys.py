"""Keys of assets that more than one area names, and what all assets have in common."""

from typing import Final

import dagster as dg

PAGES: Final = dg.AssetKey(["queue", "pages"])
JOBS: Final = dg.AssetKey(["queue", "jobs"])
ARTIFACTS: Final = dg.AssetKey(["queue", "artifacts"])
GATE_RUNS: Final = dg.AssetKey(["quality", "gate_runs"])

OWNERS: Final = ["team:cogo-operations"]
"""The owners of the assets. Those of jobs, schedules and sensors are beta in Dagster: every load would warn."""
