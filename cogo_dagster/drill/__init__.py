"""Implements `cogo drill`, which causes failures on a scratch database and checks the guarantees of the queue."""

from cogo_dagster.drill.observation import Observation
from cogo_dagster.drill.scenarios import drill
from cogo_dagster.drill.scratch import DrillFailed, scratch

__all__ = ["DrillFailed", "Observation", "drill", "scratch"]
