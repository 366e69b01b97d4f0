"""The table of targets: a row for each, with its median of the rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.peers import COGO, GRAPHILE, PG_BOSS

Round = Mapping[str, Any]
Numbers = Mapping[str, Any]

_OURS: Final = COGO.name
_RATE: Final = "jobs_per_second"
_ENQUEUED: Final = "enqueued_per_second"


@dataclass(frozen=True, slots=True)
class Target:
    """A target.

    Attributes:
        name: What is measured.
        bound: The value to reach.
        of: Returns the value of a round; raises LookupError if it was not measured.
        at_most: Whether the bound is a maximum.
    """

    name: str
    bound: float
    of: Callable[[Round], float]
    at_most: bool = False


def _ratio(what: str, ours: str, theirs: str, name: str = _RATE, *, of: str = "") -> Callable[[Round], float]:
    return lambda found: float(found[what][ours][name] / found[of or what][theirs][name])


def _value(what: str, name: str, peer: str = _OURS) -> Callable[[Round], float]:
    return lambda found: float(found[what][peer][name])


def _over_best(ours: str) -> Callable[[Round], float]:
    """Return the ratio of our enqueues to those of the best peer."""

    def ratio(found: Round) -> float:
        drains = found["drain"]
        others = [n[_ENQUEUED] for peer, n in drains.items() if not peer.startswith(_OURS) and _ENQUEUED in n]
        if not others:
            raise LookupError
        return float(drains[ours][_ENQUEUED] / max(others))

    return ratio


def _over_rest(slots: int) -> Callable[[Round], float]:
    return lambda found: float(found["rest"][_OURS][f"rest_{slots}_us"] / found["rest"][_OURS][f"postgres_{slots}_us"])


TARGETS: Final = (
    Target("drain ÷ graphile-worker", 0.8, _ratio("drain", _OURS, GRAPHILE)),
    Target("drain of 100,000 ÷ graphile-worker", 0.75, _ratio("long", _OURS, GRAPHILE)),
    Target("drain ÷ pg-boss", 1.3, _ratio("drain", _OURS, PG_BOSS)),
    Target("client CPU per job, µs", 22, _value("drain", "client_cpu_us"), at_most=True),
    Target("server CPU per job, µs", 30, _value("drain", "server_cpu_us"), at_most=True),
    Target("WAL per job, bytes", 850, _value("drain", "wal_bytes"), at_most=True),
    Target("with the log of the command line ÷ without", 0.85, _ratio("drain", "cogo, CLI log", _OURS)),
    Target("with the observer of Dagster ÷ without", 0.85, _ratio("drain", "cogo, Dagster", _OURS)),
    Target("drain at 100 slots ÷ at 500", 0.7, _ratio("drain", "cogo, 100 slots", _OURS)),
    Target("drain at 50 slots ÷ at 500", 0.5, _ratio("drain", "cogo, 50 slots", _OURS)),
    Target("bulk enqueue ÷ best peer", 1.2, _over_best(_OURS)),
    Target("bulk enqueue with idempotency keys ÷ best peer", 1.2, _over_best("cogo, keys")),
    Target("third drain ÷ first, snapshot held", 0.9, _value("snapshot", "third_to_first")),
    Target("pickup p50, ms", 1.5, _value("pickup", "committed_p50_ms"), at_most=True),
    Target("pickup p99, ms", 3, _value("pickup", "committed_p99_ms"), at_most=True),
    Target("two workers ÷ one", 1.3, _ratio("drain2", _OURS, _OURS, of="drain")),
    Target("REST ÷ connection, client CPU per job, 50 slots", 1.3, _over_rest(50), at_most=True),
    Target("REST ÷ connection, client CPU per job, 500 slots", 1.1, _over_rest(500), at_most=True),
)


HEAD: Final = ("target", "bound", "median (min-max)", "met")


def rows(rounds: Sequence[Round], of: Sequence[Target] = TARGETS) -> list[list[str]]:
    """Return the rows of a table: name, target, median (minimum-maximum), whether it is met."""
    return [_row(target, rounds) for target in of]


def _row(target: Target, rounds: Sequence[Round]) -> list[str]:
    values = []
    for found in rounds:
        try:
            values.append(target.of(found))
        except LookupError:  # not measured, or failed
            continue
    bound = f"{'≤' if target.at_most else '≥'} {target.bound:g}"
    if not values:
        return [target.name, bound, "not measured", ""]
    middle = statistics.median(values)
    met = middle <= target.bound if target.at_most else middle >= target.bound
    return [target.name, bound, f"{middle:.4g} ({min(values):.4g}-{max(values):.4g})", "yes" if met else "**no**"]
