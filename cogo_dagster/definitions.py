"""The Dagster definitions of the project: everything below `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load the modules of `defs/`, as `dg.toml` says."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
