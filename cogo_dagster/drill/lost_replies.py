"""Replies are lost after the database has committed: the repeat must do nothing a second time."""

from pathlib import Path
from typing import Final
from uuid import uuid4

from cogo_dagster.drill.observation import Observation
from cogo_dagster.drill.proxy import LossyProxy, lossy_proxy
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Job, NewJob, Outcome, Settlement
from cogo_dagster.queue.rows.jobs import JobRow
from cogo_dagster.queue.transports.postgres import PostgresTransport

_JOBS: Final = 3
_TYPE: Final = "drill.lost_reply"


def lose_replies(queue: Queue, dsn: str, folder: Path) -> Observation:
    """Enqueue, claim and settle jobs while each reply is lost, and count what was done.

    Args:
        queue: Straight to the database.
        dsn: The same database.
        folder: Where a socket file may be put.
    """
    with lossy_proxy(dsn, folder) as (proxy, over_proxy):
        transport = PostgresTransport(over_proxy)
        try:
            return _observed(queue, Queue(transport), proxy)
        finally:
            transport.close()


def _observed(queue: Queue, lossy: Queue, proxy: LossyProxy) -> Observation:
    proxy.lose_reply(lambda: len(_rows(queue)) == _JOBS)
    added = lossy.enqueue([NewJob(_TYPE) for _ in range(_JOBS)])
    ids = [job.job_id for job in added]
    proxy.lose_reply(lambda: _statuses(queue) == {"running"})
    claimed = lossy.claim_chosen(uuid4(), ids, "drill", 60)
    proxy.lose_reply(lambda: _statuses(queue) == {"succeeded"})
    settled = lossy.settle([Settlement(job, Outcome.SUCCEEDED, {"attempt": job.attempts}) for job in claimed])

    rows = _rows(queue)
    once = _is_done_once(rows, claimed) and [answer.status for answer in settled] == ["ok"] * _JOBS
    return Observation(
        "a_lost_reply_does_nothing_twice",
        once and proxy.lost == 3,
        f"{proxy.lost} of 3 replies were lost after the commit; the repeats left {len(rows)} jobs for {_JOBS} "
        f"and {sum(row.attempts for row in rows)} attempts.",
    )


def _is_done_once(rows: list[JobRow], claimed: list[Job]) -> bool:
    attempts = [(row.status, row.attempts) for row in rows]
    return len(claimed) == _JOBS and attempts == [("succeeded", 1)] * _JOBS


def _statuses(queue: Queue) -> set[str]:
    return {str(row.status) for row in _rows(queue)}


def _rows(queue: Queue) -> list[JobRow]:
    return [row for row in queue.list_jobs(max_jobs=1_000) if row.type == _TYPE]
