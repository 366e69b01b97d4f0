"""The ops of `inspect_job`, which runs chosen jobs step by step; each step is an op.

claim_chosen ─▶ execute_one ─▶ upload_one     one chain per job; a chain finishes before the next one starts
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from pydantic import Field

from cogo_dagster.dagster_support.launches import RejectedLaunch
from cogo_dagster.dagster_support.lineage import file_links, job_link
from cogo_dagster.dagster_support.metadata import number
from cogo_dagster.dagster_support.resources import CogoResource
from cogo_dagster.queue.artifacts import upload_artifacts
from cogo_dagster.queue.errors import InvalidArgument, JobNotFound
from cogo_dagster.queue.executor import Executor, Workspace
from cogo_dagster.queue.model import Job, Outcome, Settlement
from cogo_dagster.queue.worker.attempt import run_attempt


class InspectConfig(dg.Config):
    """Which jobs to run."""

    job_ids: list[str] = Field(min_length=1, max_length=20, description="IDs of queued jobs, which need not be due.")
    lease_seconds: int = Field(
        900, ge=5, le=86_400, description="Duration of the lease of all jobs; it is not renewed."
    )


# Without rising priorities, all jobs would be claimed first, then all executed.
@dg.op(out=dg.DynamicOut(Job), tags={"dagster/priority": "1"}, description="Claim the chosen jobs.")
def claim_chosen(
    context: dg.OpExecutionContext, config: InspectConfig, cogo: CogoResource
) -> Iterator[dg.DynamicOutput[Job]]:
    """Yield one output per claimed job; fail if no job is claimed."""
    try:
        wanted = [cogo.queue.find_id(job_id) for job_id in config.job_ids]
    except (InvalidArgument, JobNotFound) as error:
        raise RejectedLaunch(str(error)) from None
    worker_id = f"inspect {context.run_id}"
    jobs = cogo.queue.claim_chosen(uuid4(), wanted, worker_id, config.lease_seconds)
    for missing in set(wanted) - {job.id for job in jobs}:
        context.log.warning("Job %s is not queued; it is skipped.", missing)
    if not jobs:
        raise RejectedLaunch("None of these jobs is queued: choose queued jobs from `cogo list jobs --status queued`.")
    for job in jobs:
        yield dg.DynamicOutput(job, mapping_key=job.id.hex, metadata=_facts(job))


@dg.op(tags={"dagster/priority": "5"}, description="Run one attempt.")
def execute_one(cogo: CogoResource, job: Job) -> dg.Output[tuple[Settlement, str]]:
    """Run the attempt; its files stay in a folder that the next op deletes."""
    folder = Path(tempfile.mkdtemp(prefix="cogo-inspect-"))
    try:
        settlement = asyncio.run(
            _run_once(cogo.application.executor(job.family), job, folder, cogo.application.settings.secret_values())
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        cogo.queue.settle([Settlement(job, Outcome.REQUEUED)])
        raise
    metadata = {
        "outcome": settlement.outcome.value,
        "run_seconds": number(settlement.run_seconds or 0.0),
        "error": settlement.error.to_json() if settlement.error else {},
        "result": dg.MetadataValue.json(settlement.result),
    }
    return dg.Output((settlement, str(folder)), metadata=metadata)


@dg.op(tags={"dagster/priority": "9"}, description="Upload the files of the attempt and settle the job.")
def upload_one(cogo: CogoResource, attempt: tuple[Settlement, str]) -> dg.Output[None]:
    """Upload and settle; report the locations of the files and the job's status."""
    settlement, folder = attempt
    try:
        job = settlement.job
        rows = upload_artifacts(cogo.queue, cogo.application.store, job, settlement.artifacts)
        settled = cogo.queue.settle([settlement])[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings = cogo.application.settings
    status = settled.job_status if settled.status == "ok" else settled.status
    shown = {
        "job": job_link(settings, job.id),
        "job_id": dg.MetadataValue.text(str(job.id)),
        "job_status": dg.MetadataValue.text(status or "gone"),
    }
    return dg.Output(None, metadata={**file_links(settings, rows), **shown})


def _facts(job: Job) -> dict[str, dg.MetadataValue[Any]]:
    return {
        "job_id": dg.MetadataValue.text(str(job.id)),
        "type": dg.MetadataValue.text(job.type),
        "attempt": dg.MetadataValue.int(job.attempts),
        "payload": dg.MetadataValue.json(dict(job.payload)),
    }


async def _run_once(executor: Executor, job: Job, folder: Path, secrets: tuple[str, ...]) -> Settlement:
    try:
        await executor.start()
        return await run_attempt(executor, job, Workspace(folder), secrets)
    finally:
        await executor.stop()
