"""The numbers of a run as text, violations last."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from cogo_dagster_tests.chaos.run import Report

Name = TypeVar("Name", int, str)

_MAX_LINES: Final = 40


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    order = report.order
    yield f"seed {order.seed}, transport {order.way}, {order.workers} workers, {order.seconds:g} s of faults"
    rate = report.attempts / max(report.elapsed_seconds, 1)
    phases = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in report.phases.items())
    yield f"{report.elapsed_seconds:.0f} s in total ({phases})"
    yield f"{report.attempts:,} attempts, {rate:.0f} a second, {report.fastest / 10:.0f} a second in the fastest ten"
    yield f"at least {report.by_dagster:,} of them by runs of Dagster"
    yield f"attempts ended as: {_counts(report.endings)}"
    yield f"{report.faults.total()} faults, {report.lost_replies} lost replies: {_counts(report.faults)}"
    yield f"{report.odd_endings} executions with an invalid ending"
    yield f"not possible at their time: {_counts(report.missed)}"
    yield f"{report.exits.total()} processes ended, by exit code: {_counts(report.exits)}"
    yield f"{report.runs.total()} runs of Dagster: {_counts(report.runs)}"
    yield from report.ended_themselves
    yield f"{len(report.violations)} violations"
    yield from report.violations[:_MAX_LINES]
    if len(report.violations) > _MAX_LINES:
        yield f"… and {len(report.violations) - _MAX_LINES} more"


def _counts(counter: Mapping[Name, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counter).most_common()) or "none"
