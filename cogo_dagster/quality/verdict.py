"""Computes Q1, as pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from cogo_dagster.quality.records import Q1, GateNumbers, GateSummary, Verdict


@dataclass(frozen=True, slots=True)
class Threshold:
    """The threshold of Q1: the minimum pass rate in per cent, and the minimum number of runs."""

    min_pass_rate: float
    min_runs: int


@dataclass(frozen=True, slots=True)
class BacktestDay:
    """Q1 of a past window with another threshold."""

    day: str
    q1: Q1


def q1(numbers: GateNumbers | GateSummary, threshold: Threshold) -> Q1:
    """Compute Q1.

    Args:
        numbers: The numbers of a window.
        threshold: The threshold.
    """
    gate = numbers.gate
    verdict, reason = _decide(numbers, threshold)
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


def backtest(snapshots: Sequence[GateNumbers], threshold: Threshold) -> list[BacktestDay]:
    """Return Q1 of past days with another threshold, oldest first.

    Args:
        snapshots: The numbers of days, in any order.
        threshold: The threshold to evaluate.
    """
    ordered = sorted(snapshots, key=lambda numbers: numbers.window.start)
    return [BacktestDay(numbers.window.start.date().isoformat(), q1(numbers, threshold)) for numbers in ordered]


def verdict_of(passed: int, runs: int, threshold: Threshold) -> Verdict:
    """Return the verdict for a number of gate runs."""
    if runs < threshold.min_runs or runs == 0:
        return "not_computed"
    # Without rounding: 69.999 % must not pass as 70.
    return "pass" if passed * 100 >= threshold.min_pass_rate * runs else "fail"


def _decide(numbers: GateNumbers | GateSummary, threshold: Threshold) -> tuple[Verdict, str]:
    """Return the verdict and its reason."""
    gate = numbers.gate
    verdict = verdict_of(gate.passed, gate.runs, threshold)
    if verdict == "not_computed" or gate.pass_rate is None:
        return "not_computed", _not_computed_reason(numbers, threshold)
    counts = f"{gate.passed} of {gate.runs} gate runs on {numbers.branch} passed ({_percent(gate.pass_rate)})"
    return verdict, f"{counts}; the minimum is {_percent(threshold.min_pass_rate)}."


def _not_computed_reason(numbers: GateNumbers | GateSummary, threshold: Threshold) -> str:
    branch, runs = numbers.branch, numbers.gate.runs
    if not numbers.branch_known:
        others = ", ".join(numbers.branches[:5])
        hint = f"runs were recorded on {others}" if others else "record one with `cogo gate record`"
        return f"No gate run was recorded on the branch {branch}: {hint}."
    counted = f"{runs} gate run{'s' if runs != 1 else ''}"
    return f"{counted} on {branch} in the window; Q1 needs at least {threshold.min_runs}."


def _percent(rate: float) -> str:
    return f"{rate:.2f}".rstrip("0").rstrip(".") + " %"
