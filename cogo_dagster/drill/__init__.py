"""`cogo drill`: break things on purpose, on a database that nobody needs, and see that the promises hold."""

from cogo_dagster.drill.observation import Observation
from cogo_dagster.drill.scenarios import drill
from cogo_dagster.drill.scratch import DrillFailed, scratch

__all__ = ["DrillFailed", "Observation", "drill", "scratch"]
