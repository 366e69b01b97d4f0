"""Which fault comes when: all of it follows from the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["postgres", "rest"]

_GAP_SECONDS: Final = 1.2

PROCESS_FAULTS: Final = {
    "kill": 6,
    "freeze past the lease": 3,
    "freeze briefly": 3,
    "SIGTERM to the process": 4,
    "SIGTERM to the group": 3,
    "SIGINT to the group": 2,
    "SIGTERM twice": 2,
}
DATABASE_FAULTS: Final = {
    "terminate backends": 5,
    "idle session timeout": 2,
    "statement timeout": 2,
    "read-only": 3,
    "lock the jobs": 2,
}
LINK_FAULTS: Final = {"reset connections": 4, "half-open connections": 4, "network away": 3, "lose a reply": 12}
REST_FAULTS: Final = {"delay requests": 3, "answer 503": 3, "answer 429": 2, "answer HTML": 2, "cut an answer short": 4}
STORE_FAULTS: Final = {"store away": 3, "disk full": 2}
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

LOSABLE: Final = (
    "claim_jobs",
    "settle_jobs",
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
        at_seconds: After the beginning.
        target: Which of the workers, or of the things to choose from.
        hold_seconds: How long it lasts, where it lasts.
    """

    at_seconds: float
    kind: str
    target: int
    hold_seconds: float


def plan(seed: int, seconds: float, way: Way) -> Sequence[Step]:
    """Return the faults of a run, the same for the same arguments."""
    chance = random.Random(f"{seed} {way}")
    kinds = PROCESS_FAULTS | DATABASE_FAULTS | LINK_FAULTS | STORE_FAULTS | OPERATOR | POISON
    if way == "rest":
        kinds = {kind: weight for kind, weight in kinds.items() if kind != "half-open connections"} | REST_FAULTS
    steps, now = [], 0.0
    while (now := now + chance.expovariate(1 / _GAP_SECONDS)) < seconds:
        [kind] = chance.choices(list(kinds), list(kinds.values()))
        steps.append(Step(round(now, 3), kind, chance.randrange(1_000), round(chance.uniform(0.5, 4), 3)))
    return steps
