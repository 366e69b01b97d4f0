"""Metadata that several definitions use."""

from typing import Any

import dagster as dg


def number(value: float) -> dg.MetadataValue[Any]:
    """Return a number that Dagster plots; integers stay integers."""
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(value))
