"""A short chaos run over each transport leaves nothing violated; the long form is a command."""

from pathlib import Path
from typing import Final

import pytest

from cogo_dagster_tests.chaos.plan import Way, plan
from cogo_dagster_tests.chaos.report import lines
from cogo_dagster_tests.chaos.run import Order, run

_SECONDS: Final = 15
_SEED: Final = 7


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["postgres", "rest"])
def test_a_short_run_violates_nothing(way: Way, dsn: str, tmp_path: Path) -> None:
    """Two workers, a quarter of a minute of faults, a drain: every invariant holds."""
    report = run(dsn, tmp_path, Order(way, _SEED, _SECONDS, workers=2, drain_seconds=240))
    assert not report.violations, "\n".join(lines(report))
    assert report.attempts > 0


def test_a_seed_gives_the_same_faults() -> None:
    """The sequence follows from the seed alone, and another seed gives another one."""
    assert plan(1, 60, "rest") == plan(1, 60, "rest")
    assert plan(1, 60, "rest") != plan(2, 60, "rest")
