"""The slots of a worker, and how many jobs it may claim: more than it has slots while jobs are short or end soon."""

import itertools
import time
from collections import Counter
from typing import Final

from cogo_dagster.queue.client import ClaimRequest
from cogo_dagster.queue.worker.state import HeldJob, WorkerState

MAX_CLAIMED: Final = 2_000
"""How many very short jobs may be claimed: 1,000 that are executed while a call claims 1,000 others."""
_SHORT_SECONDS: Final = 0.01
_AHEAD_SECONDS: Final = 0.1
"""How long jobs claimed ahead are expected to wait for a slot."""
_WINDOW_SECONDS: Final = 0.02
_SUSPENDED_SECONDS: Final = 60.0


class Pace:
    """How many jobs of one family may be claimed and not ended.

    With few slots and jobs of less than a millisecond, the calls would take longer than the jobs. While all recent jobs
    were short, as many are claimed as were just executed in a row, up to those of 0.1 s.

    Args:
        slots: The number of slots of the worker.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._short_in_a_row = 0
        self._ended = 0
        self._window_started_at = 0.0
        self._ended_before_window = 0
        self._ahead = 0

    def note(self, run_seconds: float) -> None:
        """Count an execution."""
        self._ended += 1
        if run_seconds < _SHORT_SECONDS:
            self._short_in_a_row += 1
        else:
            self._short_in_a_row = 0

    def reset(self) -> None:
        """Claim no jobs ahead until as many jobs as there are slots were short again."""
        self._short_in_a_row = 0

    def limit(self, now: float) -> int:
        """Return the number of jobs that may be claimed and not ended, at least the slots.

        Args:
            now: Monotonic time.
        """
        if self._slots >= MAX_CLAIMED:
            return self._slots
        seconds = now - self._window_started_at
        if seconds >= _WINDOW_SECONDS:
            self._ahead = int((self._ended - self._ended_before_window) / seconds * _AHEAD_SECONDS)
            self._window_started_at, self._ended_before_window = now, self._ended
        return max(self._slots, min(self._short_in_a_row, self._ahead, MAX_CLAIMED))


class Slots:
    """Counts claimed and executing jobs.

    Attributes:
        total: The number of slots.
        claimed: Jobs that were claimed for a slot, and have not ended.
        executing: Those of them that are being executed, at most `total`.
        limited: Whether some family may use fewer slots than there are.
    """

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self.total = state.options.concurrency
        self.claimed = 0
        self.executing = 0
        self._claimed_of = dict.fromkeys(state.executors, 0)
        self._executing_of = dict.fromkeys(state.executors, 0)
        self._most_of = {family: self._own(family, self.total) for family in state.executors}
        self.limited = any(most < self.total for most in self._most_of.values())
        self._ending: set[HeldJob] = set()
        self._paces = {family: Pace(self.total) for family in state.executors}
        self._turn = itertools.count()
        self._suspended_until = 0.0
        self.max_prefetch = max((executor.prefetch for executor in state.executors.values()), default=0)

    @property
    def occupied(self) -> int:
        """The number of slots that are occupied or will be as soon as they are free."""
        return min(self.claimed, self.total)

    @property
    def full(self) -> bool:
        """Whether no slot is free."""
        return self.executing >= self.total

    def may_execute(self, held: HeldJob) -> bool:
        """Whether a slot is free for a claimed job."""
        return not self.full and self._executing_of[held.family] < self._most_of[held.family]

    def begin(self, held: HeldJob) -> None:
        """Count an execution that begins."""
        self.executing += 1
        self._executing_of[held.family] += 1

    def end(self, held: HeldJob) -> None:
        """Count an execution that has ended."""
        self.executing -= 1
        self._executing_of[held.family] -= 1

    def note_ending(self, held: HeldJob) -> None:
        """Let another job be claimed for the slot of an execution that ends soon."""
        if held.has_slot:
            self._ending.add(held)

    def take(self, held: HeldJob) -> None:
        """Count a job that was claimed for a slot."""
        self.claimed += 1
        self._claimed_of[held.family] += 1
        held.has_slot = True

    def free(self, held: HeldJob) -> None:
        """Count a job that has ended."""
        if held.has_slot:
            self.claimed -= 1
            self._claimed_of[held.family] -= 1
            held.has_slot = False
            if self._ending:
                self._ending.discard(held)

    def note(self, held: HeldJob, run_seconds: float) -> None:
        """Count an execution."""
        self._paces[held.family].note(run_seconds)

    def suspend_ahead(self) -> None:
        """Claim no jobs ahead for a minute."""
        self._suspended_until = time.monotonic() + _SUSPENDED_SECONDS
        for pace in self._paces.values():
            pace.reset()

    def limit(self) -> int:
        """Return how many jobs of all families may be claimed and not ended."""
        return max(self._limits().values(), default=self.total)

    def requests(self, waiting: int, *, prefetch: bool) -> tuple[list[ClaimRequest], int]:
        """Return the claim requests by family, in rotating order, and the total limit; empty while no slot is free.

        Args:
            waiting: The number of prefetched jobs.
            prefetch: Whether jobs may be prefetched.
        """
        limits, ending = self._limits(), self._ending_by_family()
        free = max(limits.values(), default=self.total) + ending.total() - self.claimed - waiting
        free = min(free, max(self.total, MAX_CLAIMED // 2))
        possible = (
            self._request(family, free, self._own(family, limits[family]) + ending[family], waiting, prefetch)
            for family in self._families()
        )
        requests = [request for request in possible if request is not None]
        return requests, max([free, *(request.max_jobs for request in requests)], default=0)

    def _limits(self) -> dict[str, int]:
        now = time.monotonic()
        if self.max_prefetch or now < self._suspended_until:  # prefetched jobs wait until no other jobs do
            return dict.fromkeys(self._paces, self.total)
        return {family: pace.limit(now) for family, pace in self._paces.items()}

    def _ending_by_family(self) -> Counter[str]:
        """Return the number of executions for whose slots other jobs may be claimed."""
        if self.max_prefetch or time.monotonic() < self._suspended_until:
            return Counter()
        return Counter(held.family for held in self._ending if held.abandoned is None)

    def _families(self) -> list[str]:
        families = [
            family
            for family, executor in self._state.executors.items()
            if not (self._state.storage.unavailable and executor.makes_artifacts)
        ]
        first = next(self._turn) % len(families) if families else 0
        return families[first:] + families[:first]

    def _own(self, family: str, limit: int) -> int:
        own = self._state.executors[family].slots
        return limit if own is None else own

    def _request(self, family: str, free: int, own: int, waiting: int, prefetch: bool) -> ClaimRequest | None:
        executor = self._state.executors[family]
        if executor.prefetch and prefetch:
            wanted = executor.prefetch - waiting
            return ClaimRequest(family, wanted, prefetch=True) if wanted >= executor.prefetch // 2 else None
        capacity = min(free, own - self._claimed_of[family])
        return ClaimRequest(family, capacity) if capacity > 0 else None
