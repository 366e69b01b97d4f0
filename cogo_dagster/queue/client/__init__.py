"""The Python client of the queue: one method per operation, each one call of an SQL function."""

from cogo_dagster.queue.client.artifacts import ArtifactCalls
from cogo_dagster.queue.client.bulk_actions import BulkActionCalls
from cogo_dagster.queue.client.jobs import JobCalls, content_key
from cogo_dagster.queue.client.leases import (
    ClaimCursor,
    ClaimedJobs,
    ClaimRequest,
    LeaseCalls,
    Recovered,
    Settled,
    WorkerIdentity,
    claim_call,
    success_call,
)
from cogo_dagster.queue.client.operations import OperatorCalls
from cogo_dagster.queue.client.workers import WorkerCalls
from cogo_dagster.queue.transports.base import Transport

__all__ = [
    "ClaimCursor",
    "ClaimRequest",
    "ClaimedJobs",
    "Queue",
    "Recovered",
    "Settled",
    "WorkerIdentity",
    "claim_call",
    "content_key",
    "success_call",
]


class Queue(JobCalls, LeaseCalls, ArtifactCalls, WorkerCalls, OperatorCalls, BulkActionCalls):
    """The queue's client. Thread-safe. The transport has the connections.

    Every method raises `QueueError` (see `queue.errors`).
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def transport(self) -> Transport:
        """The transport that calls the SQL functions."""
        return self._transport

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()
