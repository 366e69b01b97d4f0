"""The verdict on a pass rate, as pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from cogo_dagster.quality.records import Q1, GateNumbers, GateSummary, Verdict


@dataclass(frozen=True, slots=True)
class Threshold:
    """What the gate asks for: at least so many per cent of at least so many runs."""

    min_pass_rate: float
    min_runs: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a threshold would have said of one past window."""

    day: str
    q1: Q1


def q1(numbers: GateNumbers | GateSummary, threshold: Threshold) -> Q1:
    """Judge the gate runs of a summary.

    Args:
        numbers: Of a window.
        threshold: What is asked.
    """
    gate = numbers.gate
    verdict, reason = _judged(numbers, threshold)
    return Q1(
        verdict=verdict,
        pass_rate=gate.pass_rate,
        min_pass_rate=threshold.min_pass_rate,
        runs=gate.runs,
        min_runs=threshold.min_runs,
        passed=gate.passed,
        failed=gate.failed,
        reason=reason,
    )


def backtest(snapshots: Sequence[GateNumbers], threshold: Threshold) -> list[Replayed]:
    """Say what a threshold would have said of past days, oldest first.

    Args:
        snapshots: Numbers of days, in any order.
        threshold: The one to try.
    """
    ordered = sorted(snapshots, key=lambda numbers: numbers.window.start)
    return [Replayed(numbers.window.start.date().isoformat(), q1(numbers, threshold)) for numbers in ordered]


def _judged(numbers: GateNumbers | GateSummary, threshold: Threshold) -> tuple[Verdict, str]:
    """Return the verdict and one sentence for people."""
    gate = numbers.gate
    if gate.runs < threshold.min_runs or gate.pass_rate is None:
        return "not_computed", _too_little(numbers, threshold)
    # In whole numbers: 69.999 % must not pass as 70.
    passes = gate.passed * 100 >= threshold.min_pass_rate * gate.runs
    words = f"{gate.passed} of {gate.runs} gate runs on {numbers.branch} passed ({_per_cent(gate.pass_rate)})"
    return "pass" if passes else "fail", f"{words}; at least {_per_cent(threshold.min_pass_rate)} must."


def _too_little(numbers: GateNumbers | GateSummary, threshold: Threshold) -> str:
    branch, runs = numbers.branch, numbers.gate.runs
    if not numbers.branch_known:
        others = ", ".join(numbers.branches[:5])
        hint = f"runs were recorded on {others}" if others else "record one with `cogo gate record`"
        return f"No gate run was ever recorded on the branch {branch}: {hint}."
    counted = f"{runs} gate run{'s' if runs != 1 else ''}"
    return f"Only {counted} on {branch} in the window, and {threshold.min_runs} are needed for a verdict."


def _per_cent(rate: float) -> str:
    return f"{rate:.2f}".rstrip("0").rstrip(".") + " %"
