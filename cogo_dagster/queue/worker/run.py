"""Runs a worker in a new event loop that ends even if an execution does not."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cogo_dagster.queue.worker.options import WorkerReport
from cogo_dagster.queue.worker.worker import Worker

_LAST_SECONDS: Final = 1.0
_THREADS: Final = "cogo-executor"


def run_worker(worker: Worker) -> WorkerReport:
    """Run a worker to its end.

    Unlike `asyncio.run`, this does not wait for executions that ignore their cancellation, nor for their threads, which
    end with the process.

    Raises:
        Exception: See `Worker.run`.
    """
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(thread_name_prefix=_THREADS)
    loop.set_default_executor(threads)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(worker.run())
    finally:
        asyncio.set_event_loop(None)
        _leave(loop)
        threads.shutdown(wait=False, cancel_futures=True)
        left = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
        deadline = time.monotonic() + _LAST_SECONDS
        for thread in left:
            thread.join(max(deadline - time.monotonic(), 0))


def _leave(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the remaining tasks, wait one second for them, and close the loop."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_LAST_SECONDS))
    for task in left:
        if not task.done():
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - already logged
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
