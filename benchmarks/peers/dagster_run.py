"""cogo in one run of `process_jobs` on a persistent Dagster instance, with the executor of cogo.py."""

import asyncio
import json
import os
import time
from dataclasses import asdict

from benchmarks.peers import cogo, program
from cogo_dagster.bootstrap import application
from cogo_dagster.dagster_support.launch import run_process_jobs
from cogo_dagster.defs.queue.jobs import process_jobs
from cogo_dagster.executors.registry import Loaded


class DagsterRun(cogo.Cogo):
    """The worker in an in-process Dagster run, as in `cogo demo`."""

    async def work(self, handler: program.Handler, go: program.Go) -> None:
        """Run until the queue is empty; print the result of the run."""
        executor = cogo.NoOp(handler, go)
        setattr(application, "load_executors", lambda _: Loaded([executor]))  # noqa: B010 - replaced for this process
        settings = {"COGO_DATABASE_URL": self._dsn, "COGO_CONCURRENCY": str(cogo.CONCURRENCY)}
        began_at = time.monotonic()
        run = await asyncio.to_thread(run_process_jobs, process_jobs, settings)
        print("RESULT", json.dumps(asdict(run) | {"run_seconds": time.monotonic() - began_at}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    program.main(DagsterRun())
