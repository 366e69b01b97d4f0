"""A family whose jobs wait, and optionally store a file that names their host."""

import asyncio
import socket
from pathlib import Path
from typing import Final, Self

from cogo_dagster.queue.executor import Executor, ExecutorContext, Workspace
from cogo_dagster.queue.model import ArtifactFile, ExecutionResult, Job

SLOTS: Final = 16


class WaitExecutor(Executor, family="wait"):
    """Waits for `seconds`; with `file`, stores a file."""

    slots = SLOTS

    @classmethod
    def build(cls, context: ExecutorContext) -> Self:  # noqa: ARG003 - no settings
        """Create the executor."""
        return cls()

    async def execute(self, job: Job, workspace: Workspace) -> ExecutionResult:
        """Wait, and return the name of the host."""
        host = socket.gethostname()
        await asyncio.sleep(float(job.payload.get("seconds", 0)))
        files = []
        if job.payload.get("file"):
            path = workspace.folder / "host.txt"
            path.write_text(host)
            files.append(ArtifactFile(path.name, "text/plain", path))
        return ExecutionResult({"host": host}, files)


def write_entry_point(folder: Path) -> Path:
    """Install the family for processes with this folder in PYTHONPATH; return the folder."""
    metadata = folder / "cogo_wait-0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cogo-wait\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(
        "[cogo_dagster.executors]\nwait = cogo_dagster_tests.hosts.executor:WaitExecutor\n"
    )
    return folder
