"""Metadata that several definitions show."""

from typing import Any

import dagster as dg


def number(value: float) -> dg.MetadataValue[Any]:
    """Return a number that Dagster plots; whole numbers stay whole."""
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(value))
