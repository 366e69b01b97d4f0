"""The Dagster definitions of the project: all modules of `defs/`."""

from pathlib import Path

import dagster as dg

from cogo_dagster.dagster_support.signals import end_on_sigterm
from cogo_dagster.imports import quick_imports


@dg.definitions
def defs() -> dg.Definitions:
    """Load the modules of `defs/`, as configured in `dg.toml`."""
    end_on_sigterm()
    with quick_imports():
        return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
