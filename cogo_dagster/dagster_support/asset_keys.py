"""Keys of assets that more than one area names."""

from typing import Final

import dagster as dg

PAGES: Final = dg.AssetKey(["queue", "pages"])
JOBS: Final = dg.AssetKey(["queue", "jobs"])
ARTIFACTS: Final = dg.AssetKey(["queue", "artifacts"])
GATE_RUNS: Final = dg.AssetKey(["quality", "gate_runs"])
