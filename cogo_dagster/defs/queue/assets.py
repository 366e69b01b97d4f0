"""The queue's tables and files as assets, on which workers report."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys

pages: Final = dg.AssetSpec(
    asset_keys.PAGES,
    description="Pages and designs that jobs process. Each attempt is an observation, with links to its job and files.",
    group_name="queue",
    kinds={"html"},
    owners=asset_keys.OWNERS,
)

jobs: Final = dg.AssetSpec(
    asset_keys.JOBS,
    deps=[asset_keys.PAGES],
    description="The jobs table. Each run of process_jobs reports its work as an observation.",
    group_name="queue",
    kinds={"postgres"},
    owners=asset_keys.OWNERS,
)

artifacts: Final = dg.AssetSpec(
    asset_keys.ARTIFACTS,
    deps=[asset_keys.JOBS],
    description="Screenshots, PDFs, exports and reports, in a folder or in Supabase Storage.",
    group_name="queue",
    kinds={"file"},
    owners=asset_keys.OWNERS,
)
