"""Enqueues the lines of a file in batches, two at a time."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Final, TypeAlias, TypeVar

from cogo_dagster.queue.model import NewJob
from cogo_dagster.queue.threads import started

T = TypeVar("T")

Line: TypeAlias = tuple[int, NewJob]
"""The number of a line, and its job."""

_BATCH: Final = 1_000
_CALLS: Final = 2
_PREPARE_SECONDS: Final = 1.0
_LAST_CALL_SECONDS: Final = 2.0


def calls_at_once(lines: Sequence[Line], connections: int) -> int:
    """Return how many batches may be sent at once; one if a job has an idempotency key, so that its first line counts.

    Args:
        connections: Maximum number of connections.
    """
    return 1 if any(job.idempotency_key is not None for _, job in lines) else min(_CALLS, connections)


def prepare_calls(prepare: Callable[[], None], connections: int) -> None:
    """Prepare as many calls as may be in progress; if that fails or takes long, the first batch has the same problem.

    Args:
        prepare: Prepares one call.
        connections: Maximum number of connections.
    """
    wait([started(prepare) for _ in range(min(_CALLS, connections))], _PREPARE_SECONDS)


def enqueued_batches(
    enqueue: Callable[[list[NewJob]], T],
    lines: Sequence[Line],
    at_once: int,
    report: Callable[[str], object],
) -> Iterator[T]:
    """Enqueue in batches of 1,000; yield the results in order.

    The first batch is sent alone: if the database rejects it, nothing else was sent. Afterwards the database works on
    one batch while the client reads the reply of another, or the server waits for a commit.

    Args:
        enqueue: Enqueues one batch, all or none.
        lines: The lines of the file.
        at_once: Maximum number of batches in progress.
        report: Called with the lines that are left, if the batches end early.
    """
    batches = [lines[first : first + _BATCH] for first in range(0, len(lines), _BATCH)]
    calls: list[Future[T]] = []
    received = 0
    try:
        for batch in batches:
            calls.append(started(partial(enqueue, [job for _, job in batch])))
            if received == 0 or len(calls) - received == at_once:
                yield calls[received].result()
                received += 1
        for call in calls[received:]:
            yield call.result()
    except BaseException:
        wait(calls, _LAST_CALL_SECONDS)
        done = [number for number, call in enumerate(calls) if call.done() and call.exception() is None]
        if len(done) < len(batches):
            report(lines_left(batches, done))
        raise


def lines_left(batches: Sequence[Sequence[Line]], done: Collection[int]) -> str:
    """Return how many jobs were enqueued, and where to continue.

    Args:
        batches: All batches.
        done: The numbers of those that were enqueued, from 0; not all.
    """
    first = next(number for number in range(len(batches)) if number not in done)
    later = [batches[number] for number in sorted(done) if number > first]
    enqueued, total = sum(len(batches[number]) for number in done), sum(map(len, batches))
    also = f", also those of lines {later[0][0][0]} to {later[-1][-1][0]}" if later else ""
    without = ", without these lines" if later else ""
    return f"{enqueued:,} of {total:,} jobs were enqueued{also}: continue with line {batches[first][0][0]}{without}."
