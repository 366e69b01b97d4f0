"""The definitions of the example, loaded from `defs/`."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load the modules of `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
