"""The verdict on a pass rate, as pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cogo_dagster.quality.records import Q1
from cogo_dagster.queue.model import Json


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


def q1(numbers: Mapping[str, Json], threshold: Threshold) -> Q1:
    """Judge the gate runs of a summary.

    Args:
        numbers: A document of the SQL function `gate_summary`.
        threshold: What is asked.
    """
    gate = numbers["gate"]
    runs, passed = gate["runs"], gate["passed"]
    common = {
        "pass_rate": gate["pass_rate"],
        "min_pass_rate": threshold.min_pass_rate,
        "runs": runs,
        "min_runs": threshold.min_runs,
        "passed": passed,
        "failed": gate["failed"],
    }
    if runs < threshold.min_runs:
        return Q1(verdict="not_computed", reason=_too_little(numbers, threshold), **common)
    # In whole numbers: 69.999 % must not pass as 70.
    passes = passed * 100 >= threshold.min_pass_rate * runs
    words = f"{passed} of {runs} gate runs on {numbers['branch']} passed ({_per_cent(gate['pass_rate'])})"
    asked = f"at least {_per_cent(threshold.min_pass_rate)} must"
    return Q1(verdict="pass" if passes else "fail", reason=f"{words}; {asked}.", **common)


def backtest(snapshots: Sequence[Mapping[str, Json]], threshold: Threshold) -> list[Replayed]:
    """Say what a threshold would have said of past days, oldest first.

    Args:
        snapshots: Documents of `gate_summary`, in any order.
        threshold: The one to try.
    """
    ordered = sorted(snapshots, key=lambda numbers: str(numbers["window"]["start"]))
    return [Replayed(numbers["window"]["start"][:10], q1(numbers, threshold)) for numbers in ordered]


def _too_little(numbers: Mapping[str, Json], threshold: Threshold) -> str:
    branch, runs = numbers["branch"], numbers["gate"]["runs"]
    if not numbers["branch_known"]:
        others = ", ".join(numbers["branches"][:5])
        hint = f"runs were recorded on {others}" if others else "record one with `cogo gate record`"
        return f"No gate run was ever recorded on the branch {branch}: {hint}."
    counted = f"{runs} gate run{'s' if runs != 1 else ''}"
    return f"Only {counted} on {branch} in the window, and {threshold.min_runs} are needed for a verdict."


def _per_cent(rate: float) -> str:
    return f"{rate:.2f}".rstrip("0").rstrip(".") + " %"
