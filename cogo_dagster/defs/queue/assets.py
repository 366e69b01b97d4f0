"""What the queue holds, as assets that its workers report on."""

from typing import Final

import dagster as dg

from cogo_dagster.dagster_support import asset_keys
from cogo_dagster.dagster_support.jobs import OWNERS

pages: Final = dg.AssetSpec(
    asset_keys.PAGES,
    description="The pages and designs that jobs look at, by their addresses.",
    group_name="queue",
    kinds={"html"},
    owners=OWNERS,
)

jobs: Final = dg.AssetSpec(
    asset_keys.JOBS,
    deps=[asset_keys.PAGES],
    description="The table of jobs. Each run of process_jobs reports what it did as one materialization.",
    group_name="queue",
    kinds={"postgres"},
    owners=OWNERS,
)

artifacts: Final = dg.AssetSpec(
    asset_keys.ARTIFACTS,
    deps=[asset_keys.JOBS],
    description="Screenshots, PDFs, exports and reports, in a folder or in Supabase Storage.",
    group_name="queue",
    kinds={"file"},
    owners=OWNERS,
)
