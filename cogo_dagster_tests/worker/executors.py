"""Executors made of one function, and gates that hold their jobs until the test lets them go."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable

from cogo_dagster.queue.executor import Executor, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job

Body = Callable[[Job, Workspace], Awaitable[ExecutionResult]]

_PATIENCE_SECONDS = 30.0


async def succeed(job: Job, workspace: Workspace) -> ExecutionResult:
    """Do nothing, well."""
    return ExecutionResult({"attempt": job.attempts})


class FakeExecutor(Executor):
    """Runs jobs through one function.

    Attributes:
        ran: Ids of the jobs whose execution began, with the attempt's number, in order.
        most: Executions at once, at most.
    """

    def __init__(
        self, body: Body = succeed, *, family: str = "browser", slots: int | None = None, prefetch: int = 0
    ) -> None:
        self.body = body
        self.family = family
        self.slots = slots
        self.prefetch = prefetch
        self.ran: list[Job] = []
        self.now = 0
        self.most = 0
        self.makes_artifacts = True
        self.starts = 0
        self.stops = 0

    async def start(self) -> None:
        """Count."""
        self.starts += 1

    async def stop(self) -> None:
        """Count."""
        self.stops += 1

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Run the function."""
        self.ran.append(job)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.body(job, workspace)
        finally:
            self.now -= 1


class Gate:
    """Holds executions at one place. The test's thread waits for them to arrive, and opens.

    Attributes:
        cancelled: Jobs whose execution was cancelled while it was held.
    """

    def __init__(self) -> None:
        self._arrivals: queue.Queue[Job] = queue.Queue()
        self._lock = threading.Lock()
        self._opened = False
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.cancelled: list[Job] = []

    async def __call__(self, job: Job, workspace: Workspace) -> ExecutionResult:  # noqa: ARG002 - a body
        """Arrive, wait until the gate is open, succeed."""
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
        return self._arrivals.get(timeout=_PATIENCE_SECONDS)

    def open(self) -> None:
        """Let all go that are held and all that come."""
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
