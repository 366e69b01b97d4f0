"""Executors made from a function, and gates that hold jobs until the test opens them."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable

from cogo_dagster.queue.executor import Executor, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job

Body = Callable[[Job, Workspace], Awaitable[ExecutionResult]]

_TIMEOUT_SECONDS = 30.0


async def succeed(job: Job, workspace: Workspace) -> ExecutionResult:
    """Succeed without a result."""
    return ExecutionResult({"attempt": job.attempts})


class FakeExecutor(Executor):
    """Runs jobs with a function.

    Attributes:
        ran: IDs of the jobs whose execution began, with the attempt number, in order.
        max_running: Maximum number of concurrent executions.
    """

    def __init__(
        self, body: Body = succeed, *, family: str = "browser", slots: int | None = None, prefetch: int = 0
    ) -> None:
        self.body = body
        self.family = family
        self.slots = slots
        self.prefetch = prefetch
        self.ran: list[Job] = []
        self.running = 0
        self.max_running = 0
        self.makes_artifacts = True
        self.starts = 0
        self.stops = 0

    async def start(self) -> None:
        """Count the start."""
        self.starts += 1

    async def stop(self) -> None:
        """Count the stop."""
        self.stops += 1

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Run the function."""
        self.ran.append(job)
        self.running += 1
        self.max_running = max(self.max_running, self.running)
        try:
            return await self.body(job, workspace)
        finally:
            self.running -= 1


class Gate:
    """Holds executions. The test waits for them to arrive, and opens the gate.

    Attributes:
        cancelled: Jobs whose execution was cancelled at the gate.
    """

    def __init__(self) -> None:
        self._arrivals: queue.Queue[Job] = queue.Queue()
        self._lock = threading.Lock()
        self._opened = False
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.cancelled: list[Job] = []

    async def __call__(self, job: Job, workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - a body
        """Arrive, wait until the gate is open, and succeed."""
        opened = asyncio.Event()
        with self._lock:
            if self._opened:
                opened.set()
            else:
                self._held.append((asyncio.get_running_loop(), opened))
        self._arrivals.put(job)
        try:
            await opened.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job)
            raise
        return ExecutionResult({"attempt": job.attempts})

    def arrived(self) -> Job:
        """Wait for the next job to arrive."""
        return self._arrivals.get(timeout=_TIMEOUT_SECONDS)

    def open(self) -> None:
        """Release all executions, now and later."""
        with self._lock:
            self._opened = True
            held, self._held = self._held, []
        for loop, opened in held:
            if not loop.is_closed():
                loop.call_soon_threadsafe(opened.set)


async def leave_a_file(job: Job, workspace: Workspace) -> ExecutionResult:
    """Succeed with one small file."""
    return ExecutionResult(artifacts=[a_file(workspace)])


def a_file(workspace: Workspace, name: str = "note.txt", text: str = "hello") -> ArtifactFile:
    """Write a file into the workspace."""
    path = workspace.folder / name
    path.write_text(text)
    return ArtifactFile(name, "text/plain", path)
