"""A run's figures as text, the violations last."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from cogo_dagster_tests.chaos.run import Report

Name = TypeVar("Name", int, str)

_MOST: Final = 40


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    order = report.order
    yield f"seed {order.seed}, transport {order.way}, {order.workers} workers, {order.seconds:g} s of faults"
    yield f"{report.elapsed_seconds:.0f} s in all, {report.attempts:,} attempts: {_counts(report.endings)}"
    yield f"{report.faults.total()} faults: {_counts(report.faults)}"
    yield f"{report.exits.total()} worker processes ended, by exit code: {_counts(report.exits)}"
    yield from report.ended_themselves
    yield f"{len(report.violations)} violations"
    yield from report.violations[:_MOST]
    if len(report.violations) > _MOST:
        yield f"… and {len(report.violations) - _MOST} more"


def _counts(counter: Mapping[Name, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counter).most_common()) or "none"
