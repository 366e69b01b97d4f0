"""A queue in which every bulk operation finds rows."""

from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.model import Json, Outcome
from cogo_dagster_tests.conftest import Owner
from cogo_dagster_tests.queue.steps import PERMANENT, add, running_job, settle, take


def one_of_each(queue: Queue, owner: Owner) -> None:
    """Create failed, succeeded, cancelled and queued jobs, an artifact, and a job with an expired lease."""
    settle(queue, running_job(queue), Outcome.FAILED, error=PERMANENT)
    done = running_job(queue)
    file: Json = {"name": "a", "content_type": "text/plain", "size_bytes": 1, "sha256": "a" * 64, "extension": "txt"}
    [row] = queue.create_artifacts(done, [file])
    queue.finish_artifacts(done, [row.artifact_id])
    settle(queue, done)
    queue.cancel(add(queue))
    settle(queue, running_job(queue), Outcome.REQUEUED)
    [running] = take(queue)
    owner.execute(
        "update public.jobs set lease_expires_at = now() - interval '1 hour' where id = %s",
        (running.id,),
    )
    owner.execute("update public.artifacts set created_at = created_at - interval '1 hour'")
