"""The plan of faults, which depends on the seed only."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["postgres", "rest"]

_GAP_SECONDS: Final = 0.9
_FAULTS_SECONDS: Final = 15.0
_CALM_SECONDS: Final = 40.0
"""Time without faults in each round, in which the workers process the backlog: a run should make many attempts."""

PROCESS_FAULTS: Final = {
    "kill": 6,
    "freeze past the lease": 3,
    "freeze briefly": 3,
    "SIGTERM to the process": 4,
    "SIGTERM to the group": 3,
    "SIGINT to the group": 2,
    "SIGTERM twice": 2,
}
CLOCK_FAULTS: Final = {"clock ahead": 2, "clock behind": 2, "clock fast": 2, "clock jumps": 2}
DATABASE_FAULTS: Final = {
    "terminate backends": 5,
    "idle session timeout": 2,
    "statement timeout": 2,
    "read-only": 3,
    "lock the jobs": 2,
}
SERVER_FAULTS: Final = {
    "restart the server (fast)": 1,
    "restart the server (immediate)": 1,
    "kill -9 of the postmaster": 1,
    "kill -9 of a server process": 1,
}
LINK_FAULTS: Final = {
    "reset connections": 4,
    "half-open connections": 4,
    "no network": 3,
    "latency": 3,
    "lose a reply": 12,
}
REST_FAULTS: Final = {
    "delay requests": 3,
    "response 503": 3,
    "response 429": 2,
    "response HTML": 2,
    "truncated response": 4,
}
STORE_FAULTS: Final = {"store unreachable": 3, "disk full": 2}
OPERATOR: Final = {
    "retry": 3,
    "replay": 3,
    "purge": 2,
    "cancel": 6,
    "pause": 2,
    "cleanup": 2,
    "sweep": 2,
    "recover": 2,
    "dry runs": 2,
}
POISON: Final = {"poison row": 5}
DAGSTER_FAULTS: Final = {
    "kill a Dagster run": 2,
    "terminate a Dagster run": 3,
    "kill Dagster's daemon": 1,
    "kill Dagster's machine": 1,
}

LOSABLE: Final = (
    "claim_jobs",
    "settle_jobs",
    "succeed_jobs",
    "settle_with_artifacts",
    "create_artifacts",
    "finish_artifacts",
    "renew_leases",
    "requeue_instance",
    "recover_leases",
    "start_jobs",
    "record_heartbeat",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One fault.

    Attributes:
        at_seconds: Time since the beginning.
        target: Index of the worker or of another choice.
        hold_seconds: Duration, for faults that last.
    """

    at_seconds: float
    kind: str
    target: int
    hold_seconds: float


def kinds(way: Way, *, server: bool = False, dagster: bool = False) -> Mapping[str, int]:
    """Return the relative frequency of each kind of fault.

    Args:
        server: Whether the database server may be restarted.
        dagster: Whether Dagster's daemon takes part.
    """
    chosen = PROCESS_FAULTS | CLOCK_FAULTS | DATABASE_FAULTS | LINK_FAULTS | STORE_FAULTS | OPERATOR | POISON
    chosen |= REST_FAULTS if way == "rest" else {}
    chosen |= SERVER_FAULTS if server else {}
    return chosen | (DAGSTER_FAULTS if dagster else {})


def plan(seed: int, seconds: float, way: Way, *, server: bool = False, dagster: bool = False) -> Sequence[Step]:
    """Return the faults of a run; equal arguments give equal faults."""
    chance = random.Random(f"{seed} {way}")
    dealt = _dealt(chance, kinds(way, server=server, dagster=dagster))
    steps, now = [], 0.0
    while (now := _next(now, chance.expovariate(1 / _GAP_SECONDS))) < seconds:
        steps.append(Step(round(now, 3), next(dealt), chance.randrange(1_000), round(chance.uniform(0.3, 2.5), 3)))
    return steps


def round_length(way: Way, *, server: bool = False, dagster: bool = False) -> int:
    """Return the number of faults after which each kind has occurred."""
    return sum(kinds(way, server=server, dagster=dagster).values())


def _dealt(chance: random.Random, weights: Mapping[str, int]) -> Iterator[str]:
    """Yield kinds in shuffled rounds, in each of which a kind occurs as often as its weight."""
    while True:
        cards = [kind for kind, weight in weights.items() for _ in range(weight)]
        chance.shuffle(cards)
        yield from cards


def _next(now: float, gap_seconds: float) -> float:
    then = now + gap_seconds
    phase = then % (_FAULTS_SECONDS + _CALM_SECONDS)
    return then if phase <= _FAULTS_SECONDS else then - phase + _FAULTS_SECONDS + _CALM_SECONDS
