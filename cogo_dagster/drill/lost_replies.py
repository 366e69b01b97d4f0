"""Scenario: replies are lost after the commit, and repeated calls must change nothing."""

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
    """Enqueue, claim and settle jobs while each reply is lost, and count jobs and attempts.

    Args:
        queue: A queue that does not use the proxy.
        dsn: Connection string of the same database.
        folder: Folder for a socket file.
    """
    with lossy_proxy(dsn, folder) as (proxy, proxy_dsn):
        transport = PostgresTransport(proxy_dsn)
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
    once = _is_done_once(rows, claimed) and [result.status for result in settled] == ["ok"] * _JOBS
    return Observation(
        "a_lost_reply_does_nothing_twice",
        once and proxy.lost == 3,
        f"{proxy.lost} of 3 replies were lost after the commit; after the repeated calls there are {len(rows)} of "
        f"{_JOBS} jobs with {sum(row.attempts for row in rows)} attempts.",
    )


def _is_done_once(rows: list[JobRow], claimed: list[Job]) -> bool:
    attempts = [(row.status, row.attempts) for row in rows]
    return len(claimed) == _JOBS and attempts == [("succeeded", 1)] * _JOBS


def _statuses(queue: Queue) -> set[str]:
    return {str(row.status) for row in _rows(queue)}


def _rows(queue: Queue) -> list[JobRow]:
    return [row for row in queue.list_jobs(max_jobs=1_000) if row.type == _TYPE]
