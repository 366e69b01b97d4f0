"""Mutations of critical lines of the worker."""

from typing import Final

from cogo_dagster_tests.mutations.mutation import Mutation

WORKER: Final = "cogo_dagster/queue/worker/"
WORKER_TESTS: Final = "cogo_dagster_tests/worker/"


def _worker(name: str, module: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(name, f"{WORKER}{module}.py", old, new, tuple(f"{WORKER_TESTS}test_{test}.py" for test in tests))


WORKER_MUTATIONS: Final = (
    _worker(
        "a repeated claim has a new id",
        "claim",
        "attempt = self._claim_once(claim_id, requests, capacity, idle)",
        "attempt = self._claim_once(uuid4(), requests, capacity, idle)",
        "outage",
        "fault_points",
    ),
    _worker(
        "a worker that ends unexpectedly requeues its jobs",
        "worker",
        "cleanup.push_async_callback(self._stop_executors)\n",
        "cleanup.push_async_callback(self._stop_executors)\n"
        "            cleanup.push_async_callback(lambda: self._deregister(upkeep))\n",
        "unknown_errors",
        "fault_points",
    ),
    _worker(
        "a transport error changes an outcome",
        "settle",
        "            except InvalidArgument:\n                raise\n",
        "            except QueueError as error:\n                raise InvalidArgument(str(error)) from error\n",
        "unknown_errors",
        "outage",
    ),
    _worker(
        "a job that loses attempts runs concurrently with others",
        "execute",
        "if held.job.lost_attempts >= _EXCLUSIVE_AFTER_LOST_ATTEMPTS:",
        "if False:",
        "lost_attempts",
    ),
    _worker(
        "a lost lease does not stop the execution",
        "leases",
        "held_job.abandon(Abandonment.LEASE_LOST)",
        "pass",
        "leases",
    ),
    _worker(
        "nothing is renewed",
        "leases",
        "if not held:\n            return True",
        "if True:\n            return True",
        "leases",
    ),
    _worker(
        "an upload that can never succeed is retried",
        "upload",
        "retryable=not rejected,",
        "retryable=True,",
        "artifacts",
        "containment",
    ),
    _worker(
        "jobs that make files are claimed while the store is unavailable",
        "slots",
        "if not (self._state.storage.unavailable and executor.makes_artifacts)",
        "if True",
        "artifacts",
    ),
    _worker(
        "a payload that cannot be read is executed",
        "attempt",
        "if isinstance(job.payload, PartlyUnreadable):",
        "if False:",
        "containment",
    ),
    _worker(
        "a prefetched job runs before its start is recorded",
        "execute",
        "                await self._record_starts()\n",
        "                pass\n",
        "prefetch",
    ),
    _worker(
        "an execution may run forever",
        "execute",
        "held.abandon(Abandonment.TIMEOUT)",
        "pass",
        "containment",
    ),
    _worker(
        "a drained worker leaves due jobs",
        "claim",
        "self._nothing_due = not jobs and idle and len(requests) == len(self._state.executors)",
        "self._nothing_due = not jobs",
        "tasks",
        "run",
        "outcomes",
        "prefetch",
        "unknown_errors",
    ),
)
